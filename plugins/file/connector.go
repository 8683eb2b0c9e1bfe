package file

import (
	"time"

	"github.com/leatstream/leat/connect/sdk"
)

// SourceConfig is `config:` of a source.
type SourceConfig struct {
	Path      string        `cfg:"path,required" doc:"Files to read: a path or a glob (* ? [a-z]), relative to the directory in which leat was started." example:"./in/*.csv"`
	Format    string        `cfg:"format" default:"auto" enum:"auto,json,csv,lines,json-array" doc:"What a file holds: JSON values one per line; CSV with a header line, made into JSON objects; text lines as they are; one JSON array. auto goes by the name's end: .csv, .jsonl, .ndjson and .json (an array if it starts with [), else lines."`
	Follow    bool          `cfg:"follow" default:"true" doc:"Go on watching for new lines and new files. When false, the source ends at the end of the files that there are."`
	Poll      time.Duration `cfg:"poll" default:"250ms" min:"10ms" max:"1h" doc:"Pause between two looks when nothing has changed."`
	MaxLine   sdk.Size      `cfg:"max_line" default:"1000000B" min:"16B" max:"16MiB" doc:"The most that one record may take in the file. Longer ones go to the dead-letter topic."`
	Settle    time.Duration `cfg:"settle" default:"2s" min:"0s" max:"1h" doc:"A last line without a line end counts as whole once the file has not been written to for this long."`
	IdleClose time.Duration `cfg:"idle_close" default:"1m" min:"0s" doc:"Close a file that has not grown for this long; it is opened again when it does."`
	Delimiter string        `cfg:"delimiter" default:"," doc:"CSV: what stands between two fields; one character."`
	Infer     bool          `cfg:"infer" default:"true" doc:"CSV: fields that look like numbers, true or false become such, empty fields null. When false, all fields are text."`
}

// Validate checks what tags cannot say.
func (c *SourceConfig) Validate() []sdk.Problem {
	if len(c.Delimiter) != 1 || c.Delimiter == `"` || c.Delimiter == "\n" || c.Delimiter == "\r" {
		return []sdk.Problem{{
			Path: "delimiter", Code: "config.enum", Message: "delimiter must be one ASCII character other than a quote or a line end",
			Hint: `for example: delimiter: ";"`,
		}}
	}
	return nil
}

// SinkConfig is `config:` of a sink.
type SinkConfig struct {
	Path      string        `cfg:"path,required" doc:"File to append to; directories are made as needed." example:"./out/orders.jsonl"`
	Format    string        `cfg:"format" default:"json" enum:"json,raw" doc:"json: values must be JSON and are written one per line. raw: the value's bytes and a line end."`
	RollSize  sdk.Size      `cfg:"roll_size" default:"0" doc:"Start a new file when this one has so many bytes; 0: never. out.jsonl becomes out-000001.jsonl, and so on."`
	RollEvery time.Duration `cfg:"roll_every" default:"0s" min:"0s" doc:"Start a new file after so long; 0: never."`
}

// Connector is the file connector.
func Connector() sdk.Connector {
	return sdk.Connector{
		Name: "file", Version: "1.0.0", Summary: "Reads files into a topic, and writes a topic to files.",
		Source: sdk.Source[SourceConfig]{
			Summary: "One record per line, CSV row or array element. Follows growing and rotated files.",
			Ends:    true, Run: runSource, Check: checkSource, Discover: discover,
		},
		Sink: sdk.Sink[SinkConfig]{
			Summary:  "One line per record. After a crash the file holds each record once.",
			Delivery: sdk.OffsetInTarget, MaxInFlight: 8, Open: openSink,
		},
	}
}
