package batch

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Marker is how a transaction ended, as a partition has it: the one record of a control batch (KIP-98).
type Marker struct {
	ProducerID       int64
	ProducerEpoch    int16
	Commit           bool
	CoordinatorEpoch int32
}

// Types of control records that end a transaction.
const (
	markerAbort  = 0
	markerCommit = 1
)

// ErrNoMarker says that a control batch is of another kind.
var ErrNoMarker = errors.New("control batch does not end a transaction")

// The record of a marker: every varint in it takes one byte.
const (
	markerKey    = 4 // version, type
	markerValue  = 6 // version, coordinator epoch
	markerFields = 3 + 1 + markerKey + 1 + markerValue + 1
	markerLen    = HeaderLen + 1 + markerFields
)

// AppendMarker appends the control batch of m to dst. ts is in ms since 1970.
func AppendMarker(dst []byte, m Marker, ts int64) []byte {
	be := binary.BigEndian
	at := len(dst)
	dst = append(dst, make([]byte, HeaderLen)...)
	dst = append(dst, 2*markerFields, 0, 0, 0, 2*markerKey) // length, attributes, two deltas, length of the key
	dst = be.AppendUint16(dst, 0)
	kind := uint16(markerAbort)
	if m.Commit {
		kind = markerCommit
	}
	dst = be.AppendUint16(dst, kind)
	dst = append(dst, 2*markerValue)
	dst = be.AppendUint16(dst, 0)
	dst = be.AppendUint32(dst, uint32(m.CoordinatorEpoch))
	dst = append(dst, 0) // headers

	b := dst[at:]
	be.PutUint32(b[atLength:], markerLen-lengthEnd)
	b[atMagic] = 2
	be.PutUint16(b[atAttributes:], attrTransactional|attrControl)
	be.PutUint64(b[atBaseTimestamp:], uint64(ts))
	be.PutUint64(b[atMaxTimestamp:], uint64(ts))
	be.PutUint64(b[atProducerID:], uint64(m.ProducerID))
	be.PutUint16(b[atProducerEpoch:], uint16(m.ProducerEpoch))
	be.PutUint32(b[atBaseSequence:], 0xffffffff)
	be.PutUint32(b[atCount:], 1)
	Seal(b)
	return dst
}

// ReadMarker reads the marker in b, exactly one control batch. ErrNoMarker: it is of another kind.
func ReadMarker(b []byte) (Marker, error) {
	h, err := ReadHeader(b)
	if err != nil {
		return Marker{}, err
	}
	m := Marker{ProducerID: h.ProducerID, ProducerEpoch: h.ProducerEpoch}
	found := false
	var s Scratch
	err = Walk(b, Limits{}, &s, func(r *Record) error {
		be := binary.BigEndian
		if !h.Control() || len(r.Key) < markerKey || len(r.Value) < markerValue || be.Uint16(r.Key[2:]) > markerCommit {
			return ErrNoMarker
		}
		m.Commit = be.Uint16(r.Key[2:]) == markerCommit
		m.CoordinatorEpoch = int32(be.Uint32(r.Value[2:]))
		found = true
		return nil
	})
	if err == nil && !found {
		err = ErrNoMarker
	}
	if err != nil {
		return Marker{}, fmt.Errorf("control batch at offset %d: %w", h.BaseOffset, err)
	}
	return m, nil
}
