// Package sdk is what the author of a connector imports. A connector is one file: a tagged struct is its config,
// a function is its work.
//
//	type Config struct {
//		URL   string        `cfg:"url,required" doc:"Feed to poll." example:"https://example.org/feed"`
//		Every time.Duration `cfg:"every" default:"10s" min:"1s" doc:"Pause between two polls."`
//		Token sdk.Secret    `cfg:"token" doc:"Sent as a bearer token."`
//	}
//
//	func main() {
//		sdk.Serve(sdk.Connector{
//			Name: "feed", Version: "1.0.0", Summary: "Polls an HTTP feed.",
//			Source: sdk.Source[Config]{Summary: "One record per entry.", Run: run},
//		})
//	}
//
//	func run(ctx context.Context, c Config, t *sdk.Task) error {
//		claim, err := sdk.OpenClaim[int64](t, c.URL)  // claim.Position is where the last run got to, durably
//		if err != nil {
//			return err
//		}
//		for entry := range entriesAfter(ctx, c, claim.Position) {
//			err := claim.Emit(sdk.Record{Key: entry.ID, Value: entry.JSON}, entry.Seq)
//			if err != nil {
//				return err                             // the runtime is stopping the connector
//			}
//		}
//		return nil                                    // a source that has an end says so by returning nil
//	}
//
// # Config
//
// Fields of the struct are read by their tags: `cfg:"name"`, `cfg:"name,required"`, `default:"…"`, `doc:"…"`,
// `example:"…"`, `min:"…"`, `max:"…"` (numbers, durations, sizes) and `enum:"a,b"` (strings). Types: string, bool,
// integers, floats, time.Duration ("10s", "7d"), Size ("64MiB"), Secret, structs, slices and maps of these. From it
// come the JSON Schema, the check of the user's YAML before any process runs, and the page of documentation. A
// method `Validate() []sdk.Problem` on the pointer adds what tags cannot say.
//
// # Sources
//
// Run emits records into claims. A claim is a unit with its own order and its own position: a file, a table, a
// shard. Emit batches, and blocks when the runtime cannot take more: write no queue of your own. The position that
// is given with a record says where to go on after it; it comes back after a restart once record and position are
// durable. Emit returns an error only when the task is to end: return it. CaughtUp tells the runtime that all there
// was has been read. Deliver waits until a record is durable, for sources that owe somebody an answer.
//
// # Sinks
//
// Open connects and returns a Writer. Write gets records of one partition in order; Batch.Each calls a function per
// record. A Writer that also has Flush is acknowledged only after Flush, which the SDK calls when no more records
// wait: one fsync for many batches. A Writer that has Resume tells which offset the target already holds
// (declare OffsetInTarget).
//
// # Errors
//
// Transient: the outside is not there; the same is tried again later. Poison: this one record can never work; it goes
// to the dead-letter topic. Duplicate: the target has it already. Fatal: nothing works until a person changes
// something. Any other error counts as transient.
//
// # Room
//
// Owns: config by struct tags, the plugin's side of leat.plugin.v1, record batch encoding in the plugin's process.
// Promises: no batch is sent without credit; positions and acks are in order per claim; a sink's ack never runs
// ahead of Flush; the process ends with its parent, however that died.
// Must not know: the runtime (connect), the broker, connectors.
// Called by: plugins/* and third parties.
// Goroutines and locks: one receiver per stream, one linger timer per claim with unsent records; a lock per claim,
// taken before the stream's send lock.
// Tested by: in-process streams (flow control, acks), and sdktest with real processes.
package sdk
