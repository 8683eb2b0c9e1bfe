package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/leatstream/leat/broker"
	"github.com/leatstream/leat/cmd/leat/internal/doctor"
	"github.com/spf13/cobra"
)

func doctorCommand(std stdio) *cobra.Command {
	var c cluster
	var o output
	f := brokerFlags{}
	var headers bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "say what is wrong with this machine, a data directory or a running cluster, and what to do",
		Long: `Without flags, looks at this machine, at the data directory and, if one answers at the default address, at the broker.
Changes nothing. Exits with 1 if something loses data or keeps clients from working.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.check(); err != nil {
				return err
			}
			r := &doctor.Report{Looked: []string{}, Findings: []doctor.Finding{}}
			cfg, err := f.read(os.Environ(), cmd.Flags().Changed)
			if err == nil {
				err = cfg.Validate()
			}
			if err != nil {
				r.Findings = append(r.Findings, doctor.Finding{Level: doctor.Bad, Where: "the configuration", What: err.Error(), Why: "the broker does not start with it", Do: "correct it"})
				cfg = broker.Config{DataDir: f.data}
			}
			r.Check(doctor.ThisMachine())
			named := cmd.Flags().Changed("brokers") || cmd.Flags().Changed("bootstrap-server")
			if cmd.Flags().Changed("data") || f.config != "" || !named {
				r.Data(cfg.DataDir, !headers)
			}
			examine(cmd.Context(), r, &c, named)
			r.Sort()
			if err := printReport(std.out, &o, r); err != nil {
				return err
			}
			if !r.Healthy() {
				return &exitError{exitRuntime, errUnhealthy}
			}
			return nil
		},
	}
	c.addTo(cmd)
	o.addTo(cmd)
	cmd.Flags().StringVar(&f.data, "data", ".leat", "a data directory of which no broker makes use at the moment")
	cmd.Flags().StringVar(&f.config, "config", "", "what the broker is started with: a leat.yaml or a server.properties")
	cmd.Flags().BoolVar(&headers, "headers", false, "read only the headers of batches, not every checksum")
	return cmd
}

var errUnhealthy = errors.New("something loses data, or keeps clients from working")

// examine looks at the cluster. That none answers matters where one was named.
func examine(ctx context.Context, r *doctor.Report, c *cluster, named bool) {
	for _, seed := range c.brokers {
		err := r.Cluster(ctx, seed, c.options(), doctor.Watch)
		if err == nil {
			return
		}
		if named {
			do, cause := c.firstContact(err)
			r.Findings = append(r.Findings, doctor.Finding{Level: doctor.Bad, Where: seed, What: "no broker answers: " + cause.Error(), Why: "clients cannot work", Do: do})
		}
	}
}

func printReport(w io.Writer, o *output, r *doctor.Report) error {
	if o.format != "table" {
		return o.print(w, r, table{})
	}
	for _, l := range r.Looked {
		fmt.Fprintf(w, "looked at %s\n", l)
	}
	for _, f := range r.Findings {
		fmt.Fprintf(w, "\n%-4s  %s: %s\n", f.Level, f.Where, f.What)
		if f.Why != "" {
			fmt.Fprintf(w, "      why: %s\n", f.Why)
		}
		if f.Do != "" {
			fmt.Fprintf(w, "      do:  %s\n", f.Do)
		}
	}
	if len(r.Findings) == 0 {
		fmt.Fprintln(w, "\nnothing is wrong")
	}
	return nil
}
