// Command leat is the broker, the connector runtime and the stream processor in one binary.
//
// It owns: the command line (one file per subcommand), exit codes, how errors are shown, the
// wiring of broker, connect and streams into `leat dev`. What several commands ask a cluster is in internal/admin,
// Apache's tools are in internal/apache, loads and what they measure in internal/bench.
//
// It promises: data on stdout, everything else on stderr; exit 0 ok, 1 runtime, 2 usage or
// validation, 3 cannot connect; an error says what, where and what to do.
//
// It must not know: how a room works inside; it calls their public doors.
//
// How it is tested: testdata/script/*.txtar, one for each command that the README shows.
package main
