package main

import (
	"context"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
)

// completeTimeout bounds how long a shell waits for the names of a cluster: somebody sits at it.
const completeTimeout = time.Second

func completionCommand(std stdio) *cobra.Command {
	return &cobra.Command{
		Use:   "completion (bash | zsh | fish | powershell)",
		Short: "print what lets a shell complete commands, flags and the names of topics and groups",
		Example: `  source <(leat completion bash)                                        in ~/.bashrc, where bash-completion is installed
  source <(leat completion zsh)                                         in ~/.zshrc, behind compinit
  leat completion fish > ~/.config/fish/completions/leat.fish`,
		Args:              oneArg("a shell", "leat completion bash"),
		ValidArgsFunction: cobra.FixedCompletions([]string{"bash", "zsh", "fish", "powershell"}, cobra.ShellCompDirectiveNoFileComp),
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			shells := map[string]func(io.Writer) error{
				"bash": func(w io.Writer) error { return root.GenBashCompletionV2(w, true) },
				"zsh":  root.GenZshCompletion, "powershell": root.GenPowerShellCompletionWithDesc,
				"fish": func(w io.Writer) error { return root.GenFishCompletion(w, true) },
			}
			generate, ok := shells[args[0]]
			if !ok {
				return usageError("there is no completion for %s\n  hint: bash, zsh, fish or powershell", named(args[0]))
			}
			return generate(std.out)
		},
	}
}

// names lists names that a cluster has.
type names func(context.Context, *kadm.Client) ([]string, error)

func topicNames(ctx context.Context, adm *kadm.Client) ([]string, error) {
	topics, err := adm.ListTopics(ctx)
	return topics.Names(), err
}

func groupNames(ctx context.Context, adm *kadm.Client) ([]string, error) {
	groups, err := adm.ListGroups(ctx)
	return groups.Groups(), err
}

// completes lets shells complete the arguments of cmd, at most so many (0: all), with names of the cluster.
func (c *cluster) completes(cmd *cobra.Command, most int, list names) *cobra.Command {
	cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, begin string) ([]string, cobra.ShellCompDirective) {
		if most > 0 && len(args) >= most {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return c.complete(cmd, begin, list), cobra.ShellCompDirectiveNoFileComp
	}
	return cmd
}

// complete lists the names that begin so. Who cannot be asked has none: a shell has no place for errors.
func (c *cluster) complete(cmd *cobra.Command, begin string, list names) []string {
	if c.readFlags(cmd) != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), completeTimeout)
	defer cancel()
	var out []string
	err := c.admin(ctx, func(adm *kadm.Client) error {
		all, err := list(ctx, adm)
		for _, name := range all {
			if strings.HasPrefix(name, begin) {
				out = append(out, name)
			}
		}
		return err
	})
	if err != nil {
		return nil
	}
	return out
}

// oneOf lets shells complete the value of a flag.
func oneOf(cmd *cobra.Command, flag string, values ...string) {
	if err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic(err) // the flag is defined on the line before
	}
}
