package apache

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// option is a flag of a tool.
type option struct {
	name    string
	arg     string // what its argument is; "": it has none
	bare    bool   // the argument may be left out
	help    string
	instead string // this option is only another name for that one
}

// flags are parsed options.
type flags struct {
	options []option
	values  map[string][]string // by name, one for each time; "" without an argument
	given   []given             // in order
}

// given is an option as it was given once.
type given struct{ name, value string }

// usageError is a mistake in the command line.
type usageError struct{ message string }

func (e *usageError) Error() string { return e.message }

func usagef(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }

// parse reads args as the parser of Apache's tools does: --name value, --name=value, and names cut short as long as they
// are unambiguous. What is no flag is left aside.
func parse(args []string, options []option) (*flags, error) {
	f := &flags{options: options, values: map[string][]string{}}
	for i := 0; i < len(args); i++ {
		word, ok := strings.CutPrefix(args[i], "--")
		if !ok || word == "" {
			continue
		}
		name, value, assigned := strings.Cut(word, "=")
		o, err := f.find(name)
		if err != nil {
			return nil, err
		}
		following := i+1 < len(args) && !strings.HasPrefix(args[i+1], "--")
		switch {
		case o.arg == "" || assigned:
		case following:
			i++
			value = args[i]
		case !o.bare:
			return nil, usagef("Option %s requires an argument: %s", o.name, o.arg)
		}
		key := o.name
		if o.instead != "" {
			key = o.instead
		}
		f.values[key] = append(f.values[key], value)
		f.given = append(f.given, given{key, value})
	}
	return f, nil
}

func (f *flags) find(name string) (option, error) {
	var found []option
	for _, o := range f.options {
		if o.name == name {
			return o, nil
		}
		if strings.HasPrefix(o.name, name) {
			found = append(found, o)
		}
	}
	if len(found) == 1 {
		return found[0], nil
	}
	return option{}, usagef("%s is not a recognized option", name)
}

func (f *flags) has(name string) bool { return len(f.values[name]) > 0 }

// value is that of the last time, or otherwise.
func (f *flags) value(name, otherwise string) string {
	if v := f.values[name]; len(v) > 0 {
		return v[len(v)-1]
	}
	return otherwise
}

// number is a value that must be one.
func (f *flags) number(name string, otherwise int64) (int64, error) {
	if !f.has(name) {
		return otherwise, nil
	}
	n, err := strconv.ParseInt(f.value(name, ""), 10, 64)
	if err != nil {
		return 0, usagef("Cannot parse argument '%s' of option %s: a whole number is needed", f.value(name, ""), name)
	}
	return n, nil
}

// one is the action of several that was given.
func (f *flags) one(actions ...string) (string, error) {
	chosen := slices.DeleteFunc(slices.Clone(actions), func(a string) bool { return !f.has(a) })
	if len(chosen) != 1 {
		return "", usagef("Command must include exactly one action: --%s", strings.Join(actions, ", --"))
	}
	return chosen[0], nil
}

// pairs reads the KEY=VALUE arguments of options.
func (f *flags) pairs(names ...string) (map[string]string, error) {
	out := map[string]string{}
	for _, name := range names {
		for _, kv := range f.values[name] {
			k, v, ok := strings.Cut(kv, "=")
			if !ok {
				return nil, usagef("Invalid argument '%s' of option %s: want key=value", kv, name)
			}
			out[strings.TrimSpace(k)] = v
		}
	}
	return out, nil
}

// help lists options.
func help(options []option) string {
	var b strings.Builder
	for _, o := range options {
		head := "--" + o.name
		if o.arg != "" {
			head += " <" + o.arg + ">"
		}
		text := o.help
		if o.instead != "" {
			text = "the old name of --" + o.instead
		}
		fmt.Fprintf(&b, "%-36s %s\n", head, text)
	}
	return b.String()
}
