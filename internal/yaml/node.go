package yaml

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"github.com/leatstream/leat/internal/diag"
	yamlv3 "gopkg.in/yaml.v3"
)

// Kind says what a Node is.
type Kind uint8

// The kinds of YAML nodes. An alias is replaced by what it stands for.
const (
	Scalar Kind = iota + 1
	Map
	List
)

// String names the kind as a user would.
func (k Kind) String() string {
	switch k {
	case Scalar:
		return "a single value"
	case Map:
		return "a map (key: value)"
	case List:
		return "a list (- item)"
	default:
		return "nothing"
	}
}

// Node is one value of a document with its place in the file.
type Node struct {
	Kind    Kind
	Value   string // a Scalar's text; for a plain scalar exactly as written
	Tag     string // the resolved tag of a Scalar: !!str !!int !!float !!bool !!null, or a custom one
	Plain   bool   // a Scalar without quotes and not a block
	Flow    bool   // a Map or List in {} or []
	Comment string // the comment that ends the Scalar's line
	Pos     diag.Pos
	Keys    []*Node // of a Map, in order
	Vals    []*Node // of a Map, matching Keys
	Items   []*Node // of a List

	style yamlv3.Style
	src   *source
}

type source struct {
	file  string
	lines []string
}

func (s *source) line(n int) string {
	if n < 1 || n > len(s.lines) {
		return ""
	}
	return s.lines[n-1]
}

// maxAliasNodes bounds what aliases may expand to: a few bytes of YAML can otherwise become gigabytes.
const maxAliasNodes = 100_000

// maxDepth bounds the nesting of a document.
const maxDepth = 200

// Parse reads every document of src. Mistakes go to d; the documents that could be read are returned.
// Empty documents are left out.
func Parse(file string, src []byte, d *diag.List) []*Node {
	s := &source{file: file, lines: strings.Split(strings.ReplaceAll(string(src), "\r\n", "\n"), "\n")}
	dec := yamlv3.NewDecoder(bytes.NewReader(src))
	var docs []*Node
	for {
		var raw yamlv3.Node
		err := safeDecode(dec, &raw)
		if errors.Is(err, io.EOF) {
			return docs
		}
		if err != nil {
			d.Add(syntaxProblem(s, err))
			return docs
		}
		if len(raw.Content) == 0 || raw.Content[0].Kind == yamlv3.ScalarNode && raw.Content[0].Tag == "!!null" {
			continue
		}
		b := builder{src: s, d: d}
		docs = append(docs, b.build(raw.Content[0], 0))
	}
}

// safeDecode turns a panic of the YAML library on hostile input into an error.
func safeDecode(dec *yamlv3.Decoder, into *yamlv3.Node) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("yaml: %v", r)
		}
	}()
	return dec.Decode(into)
}

type builder struct {
	src   *source
	d     *diag.List
	nodes int
}

func (b *builder) build(raw *yamlv3.Node, depth int) *Node {
	b.nodes++
	n := &Node{Pos: diag.Pos{File: b.src.file, Line: raw.Line, Col: raw.Column}, style: raw.Style, src: b.src}
	if depth > maxDepth || b.nodes > maxAliasNodes {
		b.d.Add(Problem(n, "yaml.too-large", "the document is nested too deeply or expands to too many values",
			fmt.Sprintf("keep it under %d levels and %d values, aliases included", maxDepth, maxAliasNodes)))
		n.Kind, n.Tag = Scalar, "!!null"
		return n
	}
	switch raw.Kind {
	case yamlv3.AliasNode:
		aliased := b.build(raw.Alias, depth+1)
		aliased.Pos = n.Pos
		return aliased
	case yamlv3.MappingNode:
		n.Kind, n.Flow = Map, raw.Style&yamlv3.FlowStyle != 0
		b.pairs(n, raw, depth)
	case yamlv3.SequenceNode:
		n.Kind, n.Flow = List, raw.Style&yamlv3.FlowStyle != 0
		for _, item := range raw.Content {
			n.Items = append(n.Items, b.build(item, depth+1))
		}
	default:
		n.Kind, n.Value, n.Tag, n.Comment = Scalar, raw.Value, raw.Tag, raw.LineComment
		n.Plain = raw.Style&(yamlv3.DoubleQuotedStyle|yamlv3.SingleQuotedStyle|yamlv3.LiteralStyle|yamlv3.FoldedStyle) == 0
	}
	return n
}

func (b *builder) pairs(n *Node, raw *yamlv3.Node, depth int) {
	seen := map[string]*Node{}
	for i := 0; i+1 < len(raw.Content); i += 2 {
		key, val := b.build(raw.Content[i], depth+1), b.build(raw.Content[i+1], depth+1)
		if first, twice := seen[key.Value]; twice && key.Kind == Scalar {
			b.d.Add(Problem(key, "yaml.duplicate-key", fmt.Sprintf("key %q stands twice", key.Value),
				fmt.Sprintf("the first one is on line %d; keep one of them", first.Pos.Line)))
			continue
		}
		seen[key.Value] = key
		n.Keys, n.Vals = append(n.Keys, key), append(n.Vals, val)
	}
}

var yamlLine = regexp.MustCompile(`^yaml: (?:unmarshal errors:\s*)?line (\d+): (.*)$`)

func syntaxProblem(s *source, err error) diag.Problem {
	p := diag.Problem{Code: "yaml.syntax", Pos: diag.Pos{File: s.file}}
	line, what := 1, strings.TrimPrefix(err.Error(), "yaml: ") // the library leaves out the number of the first line
	if m := yamlLine.FindStringSubmatch(err.Error()); m != nil {
		line, _ = strconv.Atoi(m[1])
		what = m[2]
	}
	p.Pos.Line, p.Source, p.Message = line, s.line(line), "this is not YAML: "+what
	p.Pos.Col = 1 + len(p.Source) - len(strings.TrimLeft(p.Source, " \t"))
	p.Width = len(p.Source)
	switch {
	case strings.HasPrefix(strings.TrimLeft(p.Source, " "), "\t"), strings.Contains(what, "found character that cannot start any token"):
		p.Hint = "indent with spaces, never with tabs"
	case strings.ContainsAny(p.Source, "{["):
		p.Hint = "inside { } and [ ] YAML cannot hold most expressions; write one `key: expression` per line instead"
	case strings.Contains(p.Source, `"`) || strings.Contains(p.Source, "'") || strings.Count(p.Source, ": ") > 1:
		p.Hint = "put the expression behind `|` on a line of its own, or quote the whole of it"
	}
	return p
}

// Get returns the value of a Map's key, or nil.
func (n *Node) Get(key string) *Node {
	if n == nil {
		return nil
	}
	for i, k := range n.Keys {
		if k.Value == key {
			return n.Vals[i]
		}
	}
	return nil
}

// FirstKey returns a Map's first key, or nil: it says what a document is.
func (n *Node) FirstKey() *Node {
	if n == nil || len(n.Keys) == 0 {
		return nil
	}
	return n.Keys[0]
}

// IsNull reports whether n is absent or an empty value.
func (n *Node) IsNull() bool { return n == nil || n.Kind == Scalar && n.Tag == "!!null" }

// At gives the place of the rune at offset in a Scalar's Value, as far as the scalar's style lets it be known.
func (n *Node) At(offset int) diag.Pos {
	p := n.Pos
	switch {
	case n.style&yamlv3.LiteralStyle != 0:
		return n.atLiteral(offset)
	case n.style&(yamlv3.DoubleQuotedStyle|yamlv3.SingleQuotedStyle) != 0:
		p.Col += 1 + offset
	case n.style&yamlv3.FoldedStyle != 0:
	default:
		p.Col += offset
	}
	if runes := len([]rune(n.src.line(p.Line))); p.Col > runes+1 {
		p.Col = runes + 1 // a scalar over several lines: point at the end of its first
	}
	return p
}

func (n *Node) atLiteral(offset int) diag.Pos {
	line, col := 0, offset
	for i, r := range []rune(n.Value) {
		if i == offset {
			break
		}
		if r == '\n' {
			line++
			col = offset - i - 1
		}
	}
	p := n.Pos
	p.Line += 1 + line
	first := n.src.line(n.Pos.Line + 1)
	p.Col = 1 + len(first) - len(strings.TrimLeft(first, " ")) + col
	return p
}

// Problem makes a problem that underlines n.
func Problem(n *Node, code, message, hint string) diag.Problem {
	width := 1
	if n.Kind == Scalar && !strings.Contains(n.Value, "\n") {
		width = len([]rune(n.Value))
		if !n.Plain {
			width += 2
		}
	}
	return diag.Problem{Code: code, Pos: n.Pos, Width: max(1, width), Message: message, Hint: hint, Source: n.src.line(n.Pos.Line)}
}

// ProblemAt makes a problem that underlines width runes from the rune at offset in a Scalar's Value.
func ProblemAt(n *Node, offset, width int, code, message, hint string) diag.Problem {
	pos := n.At(offset)
	return diag.Problem{Code: code, Pos: pos, Width: max(1, width), Message: message, Hint: hint, Source: n.src.line(pos.Line)}
}

// Text is a value that stands in no document, such as a command line flag; its mistakes are shown at name.
func Text(name, text string) *Node {
	return &Node{
		Kind: Scalar, Value: text, Tag: "!!str", Plain: true, Pos: diag.Pos{File: name, Line: 1, Col: 1},
		src: &source{file: name, lines: strings.Split(text, "\n")},
	}
}
