package batch

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// Codec is the compression of a batch's records, with Kafka's numbers.
type Codec uint8

// The codecs of Kafka.
const (
	None Codec = iota
	Gzip
	Snappy
	LZ4
	Zstd
)

var codecNames = [...]string{"none", "gzip", "snappy", "lz4", "zstd"}

func (c Codec) String() string {
	if int(c) < len(codecNames) {
		return codecNames[c]
	}
	return fmt.Sprintf("codec %d", uint8(c))
}

// ParseCodec finds a codec by Kafka's name.
func ParseCodec(name string) (Codec, error) {
	for i, n := range codecNames {
		if n == name {
			return Codec(i), nil
		}
	}
	return None, fmt.Errorf("%q is not a compression: none, gzip, snappy, lz4 or zstd", name)
}

// DefaultLevel is the level at which a codec compresses where nobody says another.
const DefaultLevel = math.MinInt

var (
	gzipReaders = sync.Pool{New: func() any { return new(gzip.Reader) }}
	lz4Readers  = sync.Pool{New: func() any { return lz4.NewReader(nil) }}
	zstdReaders = sync.Pool{New: func() any {
		// A frame may claim any window: 8 MiB is what RFC 8878 asks decoders to support, and bounds what a claim costs.
		r, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(8<<20))
		if err != nil {
			panic(err) // the options are constants
		}
		return r
	}}

	// Writers, by what makes them differ.
	gzipWriters [gzip.BestCompression + 2]sync.Pool // by level, from -1 on
	lz4Writers  [len(lz4Levels)]sync.Pool
	zstdWriters [zstd.SpeedBestCompression + 1]sync.Pool
)

// lz4Levels are the levels of Kafka from 1 on; 9, the default, is the fast one, and beyond it none is better.
var lz4Levels = [...]lz4.CompressionLevel{lz4.Fast, lz4.Level1, lz4.Level2, lz4.Level3, lz4.Level4, lz4.Level5, lz4.Level6, lz4.Level7, lz4.Level8, lz4.Level9}

func lz4Level(level int) int {
	if level == DefaultLevel || level == 9 {
		return 0
	}
	return min(max(level, 1), 9)
}

// pooled takes a writer of a pool, or makes one.
func pooled[W any](pool *sync.Pool, fresh func() (W, error)) W {
	if w, ok := pool.Get().(W); ok {
		return w
	}
	w, err := fresh()
	if err != nil {
		panic(err) // levels are checked, other options constants
	}
	return w
}

// compress appends src, compressed, to dst.
func compress(dst []byte, codec Codec, level int, src []byte) ([]byte, error) {
	switch codec {
	case None:
		return append(dst, src...), nil
	case Gzip:
		if level == DefaultLevel {
			level = gzip.DefaultCompression
		}
		level = min(max(level, gzip.DefaultCompression), gzip.BestCompression)
		pool := &gzipWriters[level+1]
		w := pooled(pool, func() (*gzip.Writer, error) { return gzip.NewWriterLevel(io.Discard, level) })
		defer pool.Put(w)
		return through(dst, w, src)
	case Snappy:
		at := len(dst)
		dst = append(dst, make([]byte, s2.MaxEncodedLen(len(src)))...)
		return dst[:at+len(s2.EncodeSnappy(dst[at:], src))], nil
	case LZ4:
		i := lz4Level(level)
		w := pooled(&lz4Writers[i], func() (*lz4.Writer, error) {
			w := lz4.NewWriter(nil)
			return w, w.Apply(lz4.BlockSizeOption(lz4.Block64Kb), lz4.ConcurrencyOption(1), lz4.CompressionLevelOption(lz4Levels[i]))
		})
		defer lz4Writers[i].Put(w)
		return through(dst, w, src)
	case Zstd:
		speed := zstd.SpeedDefault
		if level != DefaultLevel {
			speed = zstd.EncoderLevelFromZstd(level)
		}
		w := pooled(&zstdWriters[speed], func() (*zstd.Encoder, error) {
			return zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20), zstd.WithZeroFrames(true), zstd.WithEncoderLevel(speed))
		})
		defer zstdWriters[speed].Put(w)
		return w.EncodeAll(src, dst), nil
	default:
		return dst, fmt.Errorf("%w: %s", ErrCorrupt, codec)
	}
}

// through appends src to dst through a writer.
func through(dst []byte, w interface {
	io.WriteCloser
	Reset(io.Writer)
}, src []byte) ([]byte, error) {
	out := bytes.NewBuffer(dst)
	w.Reset(out)
	_, err := w.Write(src)
	err = errors.Join(err, w.Close())
	return out.Bytes(), err
}

// decompress appends src, decompressed, to dst[:0] and stops with ErrTooBig beyond limit bytes.
func decompress(dst []byte, codec Codec, src []byte, limit int) ([]byte, error) {
	switch codec {
	case Gzip:
		r := gzipReaders.Get().(*gzip.Reader)
		defer gzipReaders.Put(r)
		if err := r.Reset(bytes.NewReader(src)); err != nil {
			return nil, fmt.Errorf("%w: gzip: %w", ErrCorrupt, err)
		}
		return readAll(dst[:0], r, limit)
	case Snappy:
		return unsnappy(dst[:0], src, limit)
	case LZ4:
		r := lz4Readers.Get().(*lz4.Reader)
		defer lz4Readers.Put(r)
		r.Reset(bytes.NewReader(src))
		return readAll(dst[:0], r, limit)
	case Zstd:
		r := zstdReaders.Get().(*zstd.Decoder)
		defer zstdReaders.Put(r)
		if err := r.Reset(bytes.NewReader(src)); err != nil {
			return nil, fmt.Errorf("%w: zstd: %w", ErrCorrupt, err)
		}
		return readAll(dst[:0], r, limit)
	default:
		return nil, fmt.Errorf("%w: %s", ErrCorrupt, codec)
	}
}

// measure is how many bytes src becomes, found out without keeping them.
func measure(codec Codec, src []byte, limit int) (int, error) {
	var r io.Reader
	switch codec {
	case Gzip:
		z := gzipReaders.Get().(*gzip.Reader)
		defer gzipReaders.Put(z)
		if err := z.Reset(bytes.NewReader(src)); err != nil {
			return 0, fmt.Errorf("%w: gzip: %w", ErrCorrupt, err)
		}
		r = z
	case LZ4:
		z := lz4Readers.Get().(*lz4.Reader)
		defer lz4Readers.Put(z)
		z.Reset(bytes.NewReader(src))
		r = z
	case Zstd:
		z := zstdReaders.Get().(*zstd.Decoder)
		defer zstdReaders.Put(z)
		if err := z.Reset(bytes.NewReader(src)); err != nil {
			return 0, fmt.Errorf("%w: zstd: %w", ErrCorrupt, err)
		}
		r = z
	case Snappy:
		return measureSnappy(src, limit)
	default:
		return 0, fmt.Errorf("%w: %s", ErrCorrupt, codec)
	}
	n, buf := 0, make([]byte, 32<<10)
	for {
		got, err := r.Read(buf)
		switch n += got; {
		case n > limit:
			return 0, ErrTooBig
		case errors.Is(err, io.EOF):
			return n, nil
		case err != nil:
			return 0, fmt.Errorf("%w: %w", ErrCorrupt, err)
		}
	}
}

// readAll grows dst only as fast as bytes really come, so that a claim of size alone costs nothing.
func readAll(dst []byte, r io.Reader, limit int) ([]byte, error) {
	for {
		if len(dst) == cap(dst) {
			dst = append(dst, 0)[:len(dst)]
		}
		n, err := r.Read(dst[len(dst):cap(dst)])
		dst = dst[:len(dst)+n]
		switch {
		case len(dst) > limit:
			return nil, ErrTooBig
		case errors.Is(err, io.EOF):
			return dst, nil
		case err != nil:
			return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
		}
	}
}

// xerial is the magic of the block framing that Java's snappy library puts around snappy blocks.
var xerial = []byte{0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0}

const xerialHeader = 16 // magic, version, lowest compatible version

// snappyBlocks calls each with the blocks of src.
func snappyBlocks(src []byte, each func(block []byte) error) error {
	if !bytes.HasPrefix(src, xerial) {
		return each(src)
	}
	if len(src) < xerialHeader {
		return fmt.Errorf("%w: snappy framing", ErrCorrupt)
	}
	for src = src[xerialHeader:]; len(src) > 0; {
		if len(src) < 4 {
			return fmt.Errorf("%w: snappy framing", ErrCorrupt)
		}
		size := binary.BigEndian.Uint32(src)
		if uint64(size) > uint64(len(src)-4) {
			return fmt.Errorf("%w: snappy block of %d bytes", ErrCorrupt, size)
		}
		if err := each(src[4 : 4+size]); err != nil {
			return err
		}
		src = src[4+size:]
	}
	return nil
}

func unsnappy(dst, src []byte, limit int) ([]byte, error) {
	err := snappyBlocks(src, func(block []byte) (err error) {
		dst, err = unsnappyBlock(dst, block, limit)
		return err
	})
	if err != nil {
		return nil, err
	}
	return dst, nil
}

// measureSnappy believes what blocks say of themselves, as far as they can.
func measureSnappy(src []byte, limit int) (n int, err error) {
	err = snappyBlocks(src, func(block []byte) error {
		size, err := snappyLen(block, limit-n)
		n += size
		return err
	})
	return n, err
}

func snappyLen(src []byte, limit int) (int, error) {
	n, err := s2.DecodedLen(src)
	switch {
	case err != nil:
		return 0, fmt.Errorf("%w: snappy: %w", ErrCorrupt, err)
	case n > limit:
		return 0, ErrTooBig
	case n > 64*len(src): // a block can hold at most about 22 times its size: a copy of 64 bytes takes 3
		return 0, fmt.Errorf("%w: snappy block of %d bytes claims %d", ErrCorrupt, len(src), n)
	}
	return n, nil
}

func unsnappyBlock(dst, src []byte, limit int) ([]byte, error) {
	n, err := snappyLen(src, limit-len(dst))
	if err != nil {
		return nil, err
	}
	at := len(dst)
	dst = append(dst, make([]byte, n)...)
	if _, err := s2.Decode(dst[at:], src); err != nil {
		return nil, fmt.Errorf("%w: snappy: %w", ErrCorrupt, err)
	}
	return dst, nil
}
