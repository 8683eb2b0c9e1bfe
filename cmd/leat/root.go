package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/leatstream/leat/cmd/leat/internal/apache"
	"github.com/leatstream/leat/internal/diag"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Exit codes, the same for every subcommand.
const (
	exitOK      = 0
	exitRuntime = 1
	exitUsage   = 2
	exitConnect = 3
)

// stdio is the three standard streams; tests hand in their own.
type stdio struct {
	in  io.Reader
	out io.Writer // data only
	err io.Writer // progress, tables for people, errors
}

// exitError carries the exit code of an error to the end of run.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

func usageError(format string, args ...any) error {
	return &exitError{exitUsage, fmt.Errorf(format, args...)}
}

// run executes one command line and returns its exit code.
func run(ctx context.Context, argv []string, std stdio) int {
	if name, args := apacheTool(argv); name != "" {
		return apache.Run(ctx, name, args, apacheEnv(std))
	}
	root := newRoot(std)
	root.SetArgs(argv[1:])
	if apache.Instead(argv[0]) != "" {
		root.SetArgs([]string{argv[0]}) // which is no command, and the error says what is
	}
	root.SetIn(std.in)
	root.SetOut(std.out)
	root.SetErr(std.err)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	fmt.Fprintln(std.err, "leat: "+err.Error())
	return exitCode(err)
}

func exitCode(err error) int {
	var exit *exitError
	var problems *diag.List
	switch {
	case errors.As(err, &exit):
		return exit.code
	case errors.As(err, &problems):
		return exitUsage
	default:
		return exitRuntime
	}
}

func newRoot(std stdio) *cobra.Command {
	root := group("leat", "a Kafka-protocol log, connectors and YAML pipelines in one binary")
	root.SilenceErrors, root.SilenceUsage = true, true
	root.CompletionOptions.DisableDefaultCmd = true
	root.Version = versionLine()
	root.SetVersionTemplate("{{.Version}}\n")
	root.SetHelpCommand(helpCommand(root))
	root.SetFlagErrorFunc(flagError)
	root.AddCommand(
		devCommand(std), serveCommand(std), runCommand(std), testCommand(std), lintCommand(std), pluginCommand(std),
		topicCommand(std), groupCommand(std), configCommand(std), userCommand(std), aclCommand(std),
		produceCommand(std), consumeCommand(std),
		benchCommand(std), doctorCommand(std), toolsCommand(std), completionCommand(std), versionCommand(std),
	)
	return root
}

// helpCommand is cobra's, but a word that is no command is an error.
func helpCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "describe a command",
		RunE: func(_ *cobra.Command, words []string) error {
			cmd, rest, err := root.Find(words)
			if err != nil {
				return usageError("%w", err)
			}
			if len(rest) > 0 {
				return unknownCommand(cmd, rest[0])
			}
			cmd.InitDefaultHelpFlag()
			return cmd.Help()
		},
	}
}

// flagError says which flag, or which command before it, was meant.
func flagError(cmd *cobra.Command, err error) error {
	if words := cmd.Flags().Args(); cmd.HasSubCommands() && len(words) > 0 {
		return unknownCommand(cmd, words[0])
	}
	var missing *pflag.NotExistError
	if errors.As(err, &missing) && len(missing.GetSpecifiedName()) > 1 {
		var known []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) { known = append(known, f.Name) })
		if near := diag.Nearest(missing.GetSpecifiedName(), known); near != "" {
			return usageError("%w\n  hint: did you mean --%s?", err, near)
		}
	}
	var value *pflag.InvalidValueError
	if errors.As(err, &value) {
		return usageError("--%s %s: %s\n  hint: `%s --help` lists the flags", value.GetFlag().Name, named(value.GetValue()), badValue(value.GetFlag().Value.Type()), cmd.CommandPath())
	}
	return usageError("%w\n  hint: `%s --help` lists the flags", err, cmd.CommandPath())
}

// badValue says what a flag of a type wants.
func badValue(kind string) string {
	switch {
	case strings.HasPrefix(kind, "duration"):
		return "want a time with its unit, such as 500ms, 10s or 2m"
	case strings.HasPrefix(kind, "int"):
		return "want a whole number"
	case strings.HasPrefix(kind, "float"):
		return "want a number"
	case kind == "bool":
		return "want true or false"
	}
	return "cannot be read"
}

func unknownCommand(cmd *cobra.Command, word string) error {
	var known []string
	if !cmd.HasParent() {
		if instead := apache.Instead(word); instead != "" {
			return usageError("%s is a tool of Apache Kafka's that leat does not take the place of\n  hint: %s", filepath.Base(word), instead)
		}
		known = apache.Names()
	}
	for _, c := range cmd.Commands() {
		known = append(known, c.Name())
	}
	if near := diag.Nearest(strings.TrimSuffix(word, ".sh"), known); near != "" {
		return usageError("unknown command %q\n  hint: did you mean `%s %s`?", word, cmd.CommandPath(), near)
	}
	return usageError("unknown command %q\n  hint: `%s --help` lists the commands", word, cmd.CommandPath())
}

// group is a command that only holds others.
func group(use, short string) *cobra.Command {
	return &cobra.Command{
		Use:   use,
		Short: short,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return unknownCommand(cmd, args[0])
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
}

// wantArgs asks for at least one argument and shows an example where there is none.
func wantArgs(what, example string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return usageError("%s needs %s\n  hint: %s", cmd.Name(), what, example)
		}
		return nil
	}
}

// noArgs refuses arguments, with an error of the usual form.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError("%s takes no arguments, got %q\n  hint: `%s --help` lists the flags", cmd.Name(), args[0], cmd.CommandPath())
	}
	return nil
}

// oneArg asks for exactly one argument.
func oneArg(what, example string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return usageError("%s needs %s\n  hint: %s", cmd.Name(), what, example)
		}
		if len(args) > 1 {
			return usageError("%s takes %s and nothing else, got %q too\n  hint: %s", cmd.Name(), what, args[1], example)
		}
		return nil
	}
}
