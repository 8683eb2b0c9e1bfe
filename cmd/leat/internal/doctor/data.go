package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/leatstream/leat/broker"
)

// faults words what broker.Inspect finds, by kind.
var faults = map[string]struct {
	level         Level
	what, why, do string
}{
	"rot": {Bad, "records are damaged on disk", "they were acknowledged, and cannot be read any more; everything around them is served",
		"see whether the disk is healthy (smartctl, dmesg), and copy the data while it can be read; produce the records again where their source still has them"},
	"gap": {Bad, "a file with records is missing", "they were acknowledged, and are gone; everything around them is served",
		"put the file back if somebody moved it, else produce the records again where their source still has them"},
	"metadata": {Bad, "the metadata log is damaged", "without it the broker does not know its topics, and does not start",
		"restore cluster-metadata from a copy of the data directory; do not delete anything"},
	"foreign": {Bad, "this is a data directory of Apache Kafka", "leat lays files out in another way, and does not start on it",
		"name another directory with --data DIR; records move over by producing them again"},
	"torn tail": {Note, "a write was cut off", "a crash left bytes that were never acknowledged; the next start puts them aside",
		"nothing"},
	"set aside": {Note, "a crash left bytes that were put aside", "they were never acknowledged, and nobody reads them",
		"delete the file when you do not want to look at it"},
	"index": {Note, "an index file is missing or damaged", "the next start reads its segment and makes it anew",
		"nothing"},
	"start": {Warn, "the file that says where a log starts is damaged", "all that is left of the log is served, also what was deleted by request",
		"delete those records again (kafka-delete-records), which replaces the file"},
	"snapshot": {Warn, "a snapshot of the metadata log is damaged", "a start passes it over, and takes the one before it with a longer part of the log",
		"see whether the disk is healthy (smartctl, dmesg), and keep a copy of the data directory"},
	"orphan": {Warn, "files of no topic", "they take room, and the broker never looks at them",
		"delete them if you know where they come from"},
}

// Data looks into a data directory, of which no broker may make use at the moment.
func (r *Report) Data(dir string, checksums bool) {
	in, err := broker.Inspect(nil, dir, checksums)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		r.add(Note, dir, "there is no data directory", "nothing was ever kept here", "name the directory with --data DIR")
		return
	case errors.Is(err, broker.ErrInUse):
		r.looked("%s: a broker runs on it, so its files were left alone", dir)
		r.readers(dir)
		r.disk(dir)
		return
	case errors.Is(err, fs.ErrPermission):
		r.add(Bad, dir, "the data directory cannot be read", err.Error(), "run this as the user that the broker runs as")
		return
	case err != nil:
		r.add(Bad, dir, "the data directory cannot be read", err.Error(), "see whether the disk is healthy (smartctl, dmesg)")
		return
	}
	if in.ClusterID == "" && in.Bytes == 0 && len(in.Faults) == 0 {
		r.add(Note, dir, "it is not a data directory of leat", "no broker has ever served from it: there is no cluster-metadata in it", "name the directory with --data DIR")
		return
	}
	how := "every checksum"
	if !checksums {
		how = "headers only"
	}
	r.looked("%s: node %d of cluster %s, topics: %d, partitions: %d, %s of records (%s)", dir, in.Node, in.ClusterID, in.Topics, in.Partitions, size(in.Bytes), how)
	for _, f := range in.Faults {
		words := faults[f.Kind]
		where := f.Where
		if f.File != "" && f.File != f.Where {
			where = fmt.Sprintf("%s, offset %d (%s at %d, %s)", f.Where, f.Offset, f.File, f.Pos, size(f.Bytes))
		}
		what := words.what
		if f.Detail != "" {
			what += ": " + f.Detail
		}
		r.add(words.level, where, what, words.why, words.do)
	}
	r.readers(dir)
	r.disk(dir)
}

// readers looks whether anybody on the machine may look into a directory. The broker makes it, and all that are in it, for its
// own user only.
func (r *Report) readers(dir string) {
	info, err := os.Stat(dir)
	if err != nil {
		return
	}
	if mode := info.Mode().Perm(); mode&0o007 != 0 {
		r.add(Warn, dir, fmt.Sprintf("every user of this machine may look into the data directory (mode %#o)", mode),
			"what the broker makes in it is for its own user, but copies may not be, and they have the records and what passwords are checked against", "chmod o= "+dir)
	}
}

func size(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	default:
		return fmt.Sprintf("%d B", n)
	}
}
