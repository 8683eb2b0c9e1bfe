// Command words is a connector as anybody might write one: a module of its own that imports connect/sdk and nothing
// else of leat. It makes a text into words, one record each, keyed by the word.
//
//	go build -o ~/.leat/plugins/words . && leat dev --plugin-dir ~/.leat/plugins pipeline.yaml
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"
	"unicode"

	"github.com/leatstream/leat/connect/sdk"
)

// Config is what users write under `config:`.
type Config struct {
	Path string `cfg:"path,required" doc:"The text to read." example:"./book.txt"`
	Min  int    `cfg:"min" default:"1" min:"1" doc:"Leave out words with fewer letters."`
}

// Word is the value of a record.
type Word struct {
	Word string `json:"word"`
	Line int    `json:"line"`
}

// Connector is the plugin.
func Connector() sdk.Connector {
	return sdk.Connector{
		Name: "words", Version: "0.1.0", Summary: "Makes a text into words.",
		Source: sdk.Source[Config]{Summary: "One record per word, keyed by the word.", Ends: true, Run: run},
	}
}

func main() { sdk.Serve(Connector()) }

// run emits the words of the lines that come after the position, which is a number of lines and of words in the next.
func run(_ context.Context, c Config, t *sdk.Task) error {
	f, err := os.Open(c.Path)
	if err != nil {
		return sdk.Transient(err) // the runtime tries again: the file may come
	}
	defer f.Close()
	claim, err := sdk.OpenClaim[Position](t, c.Path)
	if err != nil {
		return err
	}
	text := bufio.NewReader(f)
	for line := 1; ; line++ {
		read, err := text.ReadString('\n')
		if line >= claim.Position.Line {
			if err := emit(claim, c, read, line); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return sdk.Transient(err)
		}
	}
}

// Position says where to go on: with this word of this line.
type Position struct {
	Line, Word int
}

func emit(claim *sdk.Claim[Position], c Config, line string, number int) error {
	words := strings.FieldsFunc(line, func(r rune) bool { return !unicode.IsLetter(r) })
	for i, w := range words {
		if number == claim.Position.Line && i < claim.Position.Word || len([]rune(w)) < c.Min {
			continue
		}
		w = strings.ToLower(w)
		value, err := json.Marshal(Word{Word: w, Line: number})
		if err != nil {
			return err
		}
		if err := claim.Emit(sdk.Record{Key: []byte(w), Value: value}, Position{number, i + 1}); err != nil {
			return err
		}
	}
	return nil
}
