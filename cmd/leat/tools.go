package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/leatstream/leat/cmd/leat/internal/apache"
	"github.com/leatstream/leat/internal/diag"
	"github.com/leatstream/leat/internal/kafka"
	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"
)

// apacheTool tells whether one of Apache's tools was called: by a link of its name to this program, or as the first word.
func apacheTool(argv []string) (name string, args []string) {
	if name := apache.Called(argv[0]); name != "" {
		return name, argv[1:]
	}
	if len(argv) > 1 && apache.Called(argv[1]) != "" && !strings.ContainsRune(argv[1], filepath.Separator) {
		return apache.Called(argv[1]), argv[2:]
	}
	return "", nil
}

func apacheEnv(std stdio) *apache.Env {
	return &apache.Env{
		In: std.in, Out: std.out, Err: std.err, Terminal: isTerminal(std.in) && isTerminal(std.out),
		Properties: propertiesFile, Client: clientOptions,
	}
}

// propertiesFile reads a file in the format of java.util.Properties.
func propertiesFile(file string) (map[string]string, error) {
	src, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", file, errors.Unwrap(err))
	}
	var d diag.List
	out := map[string]string{}
	for _, p := range readProperties(file, string(src), &d) {
		out[p.name] = p.value
	}
	return out, d.Err()
}

// clientOptions makes a client's options of properties by Kafka's names.
func clientOptions(properties map[string]string) ([]kgo.Opt, error) {
	secure, err := kafka.Secure(properties)
	if err != nil {
		return nil, usageError("%w", err)
	}
	c := cluster{brokers: strings.Split(properties["bootstrap.servers"], ","), secure: secure}
	opts := c.options()
	if id := properties["client.id"]; id != "" {
		opts = append(opts, kgo.ClientID(id))
	}
	return opts, nil
}

func toolsCommand(std stdio) *cobra.Command {
	cmd := group("tools", "be Apache Kafka's command line tools: "+strings.Join(apache.Names(), ", "))
	cmd.Long = `Called by the name of one of Apache's tools, with or without .sh, leat is that tool and takes its options:

  leat tools link ~/bin          makes the names, as links to leat
  leat kafka-topics --list …     works without`
	cmd.AddCommand(toolsLink(std))
	return cmd
}

func toolsLink(std stdio) *cobra.Command {
	return &cobra.Command{
		Use:   "link DIR",
		Short: "make the tools' names in a directory, as links to this program",
		Args:  oneArg("a directory", "leat tools link ~/bin"),
		RunE: func(_ *cobra.Command, args []string) error {
			self, err := os.Executable()
			if err != nil {
				return err
			}
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return err
			}
			for _, name := range apache.Names() {
				for _, suffix := range []string{"", ".sh"} {
					if err := link(self, filepath.Join(args[0], name+suffix)); err != nil {
						return err
					}
				}
			}
			fmt.Fprintf(std.err, "linked %s in %s, also with .sh\n", strings.Join(apache.Names(), ", "), args[0])
			return nil
		},
	}
}

// link makes a symbolic link. One that is there already may be replaced, a file may not.
func link(to, at string) error {
	info, err := os.Lstat(at)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	case info.Mode()&fs.ModeSymlink == 0:
		return fmt.Errorf("%s is there already and is not a link\n  hint: move it away, or link into another directory", at)
	default:
		if err := os.Remove(at); err != nil {
			return err
		}
	}
	return os.Symlink(to, at)
}
