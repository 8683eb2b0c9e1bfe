package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"golang.org/x/term"
)

func userCommand(std stdio) *cobra.Command {
	var c cluster
	cmd := group("user", "create, list, alter and delete users who log in with a password (SASL SCRAM)")
	c.addTo(cmd)
	cmd.AddCommand(userSet(std, &c, "create"), userSet(std, &c, "alter"), userList(std, &c), userDelete(std, &c))
	return cmd
}

// scramFlag is --mechanism.
type scramFlag struct{ names []string }

func (f *scramFlag) addTo(cmd *cobra.Command, def []string, usage string) {
	cmd.Flags().StringSliceVar(&f.names, "mechanism", def, usage)
}

func (f *scramFlag) mechanisms() ([]kadm.ScramMechanism, error) {
	known := map[string]kadm.ScramMechanism{"SCRAM-SHA-256": kadm.ScramSha256, "SCRAM-SHA-512": kadm.ScramSha512}
	var out []kadm.ScramMechanism
	for _, name := range f.names {
		m, ok := known[strings.ToUpper(name)]
		if !ok {
			return nil, usageError("--mechanism %s is none\n  hint: SCRAM-SHA-256 or SCRAM-SHA-512", name)
		}
		out = append(out, m)
	}
	return out, nil
}

// userSet is `create`, for users who have no such password yet, and `alter`, for those who have.
func userSet(std stdio, c *cluster, verb string) *cobra.Command {
	var mechanisms scramFlag
	var file string
	var iterations int32
	short := "give a new user a password, typed in or read from standard input or a file"
	if verb == "alter" {
		short = "change a user's password"
	}
	cmd := &cobra.Command{
		Use:   verb + " NAME",
		Short: short,
		Args:  oneArg("a name", "leat user "+verb+" alice"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ms, err := mechanisms.mechanisms()
			if err != nil {
				return err
			}
			return c.admin(cmd.Context(), func(adm *kadm.Client) error {
				if err := checkUser(cmd.Context(), adm, verb, args[0], ms); err != nil {
					return err
				}
				password, err := readPassword(std, file, args[0])
				if err != nil {
					return err
				}
				for _, m := range ms {
					up := kadm.UpsertSCRAM{User: args[0], Mechanism: m, Iterations: iterations, Password: password}
					got, err := adm.AlterUserSCRAMs(cmd.Context(), nil, []kadm.UpsertSCRAM{up})
					if err == nil {
						err = scramError(got)
					}
					if err != nil {
						return err
					}
				}
				fmt.Fprintf(std.err, "user %s can log in with %s\n", args[0], strings.Join(mechanisms.names, " and "))
				return nil
			})
		},
	}
	mechanisms.addTo(cmd, []string{"SCRAM-SHA-512"}, "SCRAM-SHA-256 or SCRAM-SHA-512, or both with a comma")
	cmd.Flags().StringVar(&file, "password-file", "", "read the password from the first line of this file")
	cmd.Flags().Int32Var(&iterations, "iterations", 4096, "how much work a guess costs, 4096 to 16384")
	return cmd
}

// checkUser refuses to overwrite a password by mistake, and to make a user by a typing mistake.
func checkUser(ctx context.Context, adm *kadm.Client, verb, name string, ms []kadm.ScramMechanism) error {
	found, err := adm.DescribeUserSCRAMs(ctx, name)
	if err != nil {
		return err
	}
	has := func(m kadm.ScramMechanism) bool {
		return slices.ContainsFunc(found[name].CredInfos, func(i kadm.CredInfo) bool { return i.Mechanism == m })
	}
	switch err := found[name].Err; {
	case err != nil && !errors.Is(err, kerr.ResourceNotFound):
		return err
	case verb == "create" && slices.ContainsFunc(ms, has):
		return fmt.Errorf("user %s exists\n  hint: `leat user alter %s` changes the password", name, name)
	case verb == "alter" && len(found[name].CredInfos) == 0:
		return fmt.Errorf("there is no user %s\n  hint: `leat user create %s` makes one, `leat user list` shows all", name, name)
	}
	return nil
}

func scramError(got kadm.AlteredUserSCRAMs) error {
	for _, r := range got {
		if r.Err != nil && r.ErrMessage != "" {
			return fmt.Errorf("user %s: %w: %s", r.User, r.Err, r.ErrMessage)
		} else if r.Err != nil {
			return fmt.Errorf("user %s: %w", r.User, r.Err)
		}
	}
	return nil
}

// readPassword asks at a terminal, where it is not shown, or reads a line.
func readPassword(std stdio, file, user string) (string, error) {
	if in, ok := std.in.(*os.File); ok && file == "" && term.IsTerminal(int(in.Fd())) {
		return typePassword(std, int(in.Fd()), user)
	}
	in := std.in
	if file != "" {
		f, err := os.Open(file)
		if err != nil {
			return "", usageError("cannot read the password: %w", err)
		}
		defer f.Close()
		in = f
	}
	line, err := bufio.NewReader(in).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	if line = strings.TrimRight(line, "\r\n"); line == "" {
		return "", usageError("there is no password\n  hint: type one, or give it on standard input or with --password-file")
	}
	return line, nil
}

func typePassword(std stdio, fd int, user string) (string, error) {
	ask := func(what string) ([]byte, error) {
		fmt.Fprint(std.err, what)
		defer fmt.Fprintln(std.err)
		return term.ReadPassword(fd)
	}
	first, err := ask("password of " + user + ": ")
	if err != nil {
		return "", err
	}
	again, err := ask("once more: ")
	switch {
	case err != nil:
		return "", err
	case string(first) != string(again):
		return "", usageError("the two passwords are not the same")
	case len(first) == 0:
		return "", usageError("an empty password is none")
	}
	return string(first), nil
}

type userRow struct {
	User       string `json:"user"`
	Mechanism  string `json:"mechanism"`
	Iterations int32  `json:"iterations"`
}

func userList(std stdio, c *cluster) *cobra.Command {
	var o output
	cmd := &cobra.Command{
		Use:   "list",
		Short: "list users and how they log in",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.check(); err != nil {
				return err
			}
			return c.admin(cmd.Context(), func(adm *kadm.Client) error {
				found, err := adm.DescribeUserSCRAMs(cmd.Context())
				if err != nil {
					return err
				}
				rows := []userRow{}
				t := table{head: []string{"USER", "MECHANISM", "ITERATIONS"}}
				for _, u := range found.Sorted() {
					for _, i := range u.CredInfos {
						rows = append(rows, userRow{u.User, i.Mechanism.String(), i.Iterations})
						t.rows = append(t.rows, []string{u.User, i.Mechanism.String(), fmt.Sprint(i.Iterations)})
					}
				}
				return o.print(std.out, rows, t)
			})
		},
	}
	o.addTo(cmd)
	return cmd
}

func userDelete(std stdio, c *cluster) *cobra.Command {
	var mechanisms scramFlag
	cmd := &cobra.Command{
		Use:   "delete NAME…",
		Short: "take users' passwords away; what ACLs say of them stays",
		Args:  wantArgs("a user", "leat user delete alice"),
		RunE: func(cmd *cobra.Command, names []string) error {
			ms, err := mechanisms.mechanisms()
			if err != nil {
				return err
			}
			return c.admin(cmd.Context(), func(adm *kadm.Client) error {
				for _, name := range names {
					if err := deleteUser(cmd.Context(), adm, name, ms); err != nil {
						return err
					}
					fmt.Fprintf(std.err, "user %s cannot log in any more\n", name)
				}
				return nil
			})
		},
	}
	mechanisms.addTo(cmd, nil, "only the password for this mechanism")
	return cmd
}

func deleteUser(ctx context.Context, adm *kadm.Client, name string, only []kadm.ScramMechanism) error {
	found, err := adm.DescribeUserSCRAMs(ctx, name)
	if err != nil {
		return err
	}
	deleted := false
	for _, i := range found[name].CredInfos {
		if len(only) > 0 && !slices.Contains(only, i.Mechanism) {
			continue
		}
		got, err := adm.AlterUserSCRAMs(ctx, []kadm.DeleteSCRAM{{User: name, Mechanism: i.Mechanism}}, nil)
		if err == nil {
			err = scramError(got)
		}
		if err != nil {
			return err
		}
		deleted = true
	}
	if err := found[name].Err; err != nil && !errors.Is(err, kerr.ResourceNotFound) {
		return err
	}
	if !deleted {
		return fmt.Errorf("there is no such user %s\n  hint: `leat user list` shows all", name)
	}
	return nil
}
