package broker

import (
	"context"
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
	Kind   string // rot, gap, torn tail, set aside, index, snapshot, orphan, metadata, foreign
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
	reader := &metadataReader{fs: fs, dir: dir, checksums: checksums}
	store := meta.NewStore(reader)
	err := store.Start()
	if errors.Is(err, storage.ErrLocked) {
		return nil, fmt.Errorf("%w: %w", ErrInUse, err)
	}
	if err != nil {
		return nil, err
	}
	image, found, broken := store.Image(), reader.found, reader.broken()
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
			Lossy: lossy(f),
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

// metadataReader reads the metadata log of a directory, as far as that goes, while the whole directory is inspected.
type metadataReader struct {
	fs        vfs.FS
	dir       string
	checksums bool

	found      *storage.Inspection
	err        error // the first that says that the image is not what it was
	snapshot   int64 // where the newest whole one ends, or 0
	next, last int64 // offsets after what was applied, and of the end
}

// Start implements meta.Log.
func (r *metadataReader) Start(m meta.Machine) (err error) {
	r.found, err = storage.Inspect(r.fs, r.dir, r.checksums, storage.Visitor{
		Snapshot: func(log string, offset int64, records [][]byte) error {
			if log == quorum.LogName {
				r.snapshot, r.next, r.err = offset, offset, m.Restore(offset, records)
			}
			return nil
		},
		Batch: func(log string, b []byte) error {
			if log == quorum.LogName && r.err == nil {
				r.err = r.apply(m, b)
			}
			return nil
		},
	})
	if err != nil || r.err != nil {
		return err
	}
	for _, f := range r.found.Faults {
		if f.Log == quorum.LogName && lossy(f) && f.Offset >= r.snapshot {
			r.err = fmt.Errorf("it cannot be read at offset %d", f.Offset)
		}
	}
	return nil
}

// lossy tells whether records that were acknowledged cannot be read.
func lossy(f storage.Fault) bool { return f.Kind == storage.Rot || f.Kind == storage.Gap }

// Propose implements meta.Log: nothing is changed.
func (r *metadataReader) Propose(context.Context, [][]byte) error { return errors.ErrUnsupported }

func (r *metadataReader) apply(m meta.Machine, b []byte) error {
	h, err := batch.ReadHeader(b)
	if err != nil {
		return err
	}
	if r.last = h.LastOffset() + 1; r.last <= r.next { // it is in the snapshot
		return nil
	}
	if h.BaseOffset != r.next {
		return fmt.Errorf("the offsets %d to %d are missing", r.next, h.BaseOffset-1)
	}
	entry, err := quorum.Entry(b)
	if err != nil {
		return err
	}
	r.next = r.last
	return m.Apply(entry)
}

// broken says why a broker does not start.
func (r *metadataReader) broken() error {
	if r.err == nil && r.last < r.snapshot {
		return fmt.Errorf("it ends at offset %d, and the snapshot before it at %d", r.last, r.snapshot)
	}
	return r.err
}

// partitionOf finds whose log a directory is.
func partitionOf(image *meta.Image, log string) (*meta.Topic, int32, bool) {
	id, n, ok := cutLogName(log)
	if !ok {
		return nil, 0, false
	}
	t := image.TopicByID(id)
	if t == nil {
		return nil, 0, false
	}
	_, ok = t.Partition(n)
	return t, n, ok
}

// cutLogName reads the name that replica.ID gives a partition's log.
func cutLogName(log string) (id meta.TopicID, index int32, ok bool) {
	topic, number, _ := strings.Cut(log, "-")
	raw, err := hex.DecodeString(topic)
	n, nerr := strconv.ParseInt(number, 10, 32)
	if err != nil || nerr != nil || len(raw) != len(id) || n < 0 {
		return id, 0, false
	}
	return meta.TopicID(raw), int32(n), true
}

// partitionName is how Kafka's tools call the partition of a log.
func partitionName(image *meta.Image, log string) string {
	if t, i, ok := partitionOf(image, log); ok {
		return fmt.Sprintf("%s-%d", t.Name, i)
	}
	return log
}
