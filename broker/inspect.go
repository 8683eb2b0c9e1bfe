package broker

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/leatstream/leat/broker/internal/meta"
	"github.com/leatstream/leat/broker/internal/quorum"
	"github.com/leatstream/leat/broker/internal/storage"
	"github.com/leatstream/leat/internal/batch"
)

// ErrInUse says that a process uses the data directory.
var ErrInUse = errors.New("a process uses the data directory")

// Inspection is what a data directory holds, and what is wrong with it.
type Inspection struct {
	ClusterID          string
	Node               int32 // -1: no broker was ever started on it
	Topics, Partitions int
	Bytes              int64 // of records
	Faults             []Fault
}

// Fault is something that is wrong in a data directory.
type Fault struct {
	Kind   string // rot, gap, torn tail, set aside, index, orphan, metadata, foreign
	Where  string // the partition, or the log
	File   string
	Offset int64 // of the first record that is affected
	Pos    int64 // in the file
	Bytes  int64
	Lossy  bool   // records that were acknowledged cannot be read
	Detail string // more, for people
}

// Inspect reads a data directory, of which no process may make use (ErrInUse), and changes nothing. Without checksums only
// the headers of batches are read. fs is nil for the operating system's.
func Inspect(fs vfs.FS, dir string, checksums bool) (*Inspection, error) {
	if fs == nil {
		fs = vfs.Default
	}
	out := &Inspection{Node: -1}
	if _, err := fs.Stat(fs.PathJoin(dir, kafkasFile)); err == nil {
		out.Faults = append(out.Faults, Fault{Kind: "foreign", Where: dir, File: kafkasFile, Detail: "a directory of Apache Kafka"})
		return out, nil
	}
	image := meta.NewImage()
	var broken error
	found, err := storage.Inspect(fs, dir, checksums, func(log string, b []byte) error {
		if log == quorum.LogName && broken == nil {
			image, broken = replayBatch(image, b)
		}
		return nil
	})
	if errors.Is(err, storage.ErrLocked) {
		return nil, fmt.Errorf("%w: %w", ErrInUse, err)
	}
	if err != nil {
		return nil, err
	}
	out.ClusterID, out.Node, out.Bytes, out.Topics = image.ClusterID(), image.Controller(), found.Bytes, len(image.Topics())
	if broken != nil {
		out.Faults = append(out.Faults, Fault{Kind: "metadata", Where: quorum.LogName, Lossy: true, Detail: broken.Error()})
	}
	for _, t := range image.Topics() {
		out.Partitions += len(t.Partitions)
	}
	for _, f := range found.Faults {
		out.Faults = append(out.Faults, Fault{
			Kind: string(f.Kind), Where: partitionName(image, f.Log), File: fs.PathJoin(f.Log, f.File), Offset: f.Offset, Pos: f.Pos, Bytes: f.Bytes,
			Lossy: f.Kind == storage.Rot || f.Kind == storage.Gap,
		})
	}
	if image.ClusterID() == "" && len(found.Logs) > 0 {
		out.Faults = append(out.Faults, Fault{Kind: "metadata", Where: quorum.LogName, Lossy: true, Detail: "there are logs, but nothing says which topics they are"})
		return out, nil
	}
	for _, log := range found.Logs {
		if _, _, ok := partitionOf(image, log); !ok && log != quorum.LogName {
			out.Faults = append(out.Faults, Fault{Kind: "orphan", Where: log, File: log, Detail: "no topic has this log"})
		}
	}
	return out, nil
}

func replayBatch(image *meta.Image, b []byte) (*meta.Image, error) {
	var records []meta.Record
	var scratch batch.Scratch
	err := batch.Walk(b, batch.Limits{}, &scratch, func(r *batch.Record) error {
		record, err := meta.Decode(r.Value)
		records = append(records, record)
		return err
	})
	if err != nil {
		return image, err
	}
	return image.Apply(records...), nil
}

// partitionOf finds whose log a directory is.
func partitionOf(image *meta.Image, log string) (*meta.Topic, int32, bool) {
	topic, index, _ := strings.Cut(log, "-")
	id, err := hex.DecodeString(topic)
	n, perr := strconv.ParseInt(index, 10, 32)
	if err != nil || perr != nil || len(id) != len(meta.TopicID{}) {
		return nil, 0, false
	}
	t := image.TopicByID(meta.TopicID(id))
	if t == nil {
		return nil, 0, false
	}
	_, ok := t.Partition(int32(n))
	return t, int32(n), ok
}

// partitionName is how Kafka's tools call the partition of a log.
func partitionName(image *meta.Image, log string) string {
	if t, i, ok := partitionOf(image, log); ok {
		return fmt.Sprintf("%s-%d", t.Name, i)
	}
	return log
}
