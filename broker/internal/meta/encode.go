package meta

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/leatstream/leat/broker/internal/auth"
	"math"
)

// The kinds of records by their number in the log (docs/formats/metadata-log.md). Numbers are never reused.
const (
	kindClusterCreated       = 1
	kindBrokerRegistered     = 2
	kindControllerElected    = 3
	kindTopicCreated         = 4
	kindPartitionChanged     = 5
	kindTopicConfigured      = 6
	kindTopicDeleted         = 7
	kindBrokerConfigured     = 8
	kindProducerIDsAllocated = 9
	kindACLCreated           = 10
	kindACLDeleted           = 11
	kindScramSet             = 12
	kindScramUnset           = 13
	kindQuotaSet             = 16
	kindGroupConfigured      = 17
)

const recordVersion = 0

// ErrBadRecord says that bytes are not a metadata record that this version knows.
var ErrBadRecord = errors.New("not a metadata record of this version")

// Encode appends r to dst.
func Encode(dst []byte, r Record) []byte {
	e := encoder{dst}
	switch r := r.(type) {
	case ClusterCreated:
		e.head(kindClusterCreated)
		e.string(r.ID)
	case BrokerRegistered:
		e.head(kindBrokerRegistered)
		e.int(int64(r.Broker.ID))
		e.string(r.Broker.Host)
		e.int(int64(r.Broker.Port))
		e.string(r.Broker.Rack)
	case ControllerElected:
		e.head(kindControllerElected)
		e.int(int64(r.ID))
	case TopicCreated:
		e.head(kindTopicCreated)
		e.id(r.ID)
		e.string(r.Name)
		e.bool(r.Internal)
	case PartitionChanged:
		e.head(kindPartitionChanged)
		e.id(r.Topic)
		e.int(int64(r.Index))
		e.int(int64(r.Partition.Leader))
		e.int(int64(r.Partition.LeaderEpoch))
		e.ints(r.Partition.Replicas)
		e.ints(r.Partition.ISR)
	case TopicConfigured:
		e.head(kindTopicConfigured)
		e.id(r.Topic)
		e.config(r.Name, r.Value, r.Unset)
	case TopicDeleted:
		e.head(kindTopicDeleted)
		e.id(r.ID)
	case BrokerConfigured:
		e.head(kindBrokerConfigured)
		e.string(r.Broker)
		e.config(r.Name, r.Value, r.Unset)
	case GroupConfigured:
		e.head(kindGroupConfigured)
		e.string(r.Group)
		e.config(r.Name, r.Value, r.Unset)
	case QuotaSet:
		e.head(kindQuotaSet)
		for _, n := range []QuotaName{r.Entity.User, r.Entity.ClientID, r.Entity.IP} {
			e.quotaName(n)
		}
		e.string(r.Name)
		e.float(r.Value)
		e.bool(r.Unset)
	case ProducerIDsAllocated:
		e.head(kindProducerIDsAllocated)
		e.int(r.Next)
	case ACLCreated:
		e.head(kindACLCreated)
		e.acl(r.ACL)
	case ACLDeleted:
		e.head(kindACLDeleted)
		e.acl(r.ACL)
	case ScramSet:
		e.head(kindScramSet)
		e.scramUser(r.User)
		e.string(r.Credential.Salt)
		e.string(r.Credential.StoredKey)
		e.string(r.Credential.ServerKey)
		e.int(int64(r.Credential.Iterations))
	case ScramUnset:
		e.head(kindScramUnset)
		e.scramUser(r.User)
	default:
		panic(fmt.Sprintf("meta: no encoding for %T", r))
	}
	return e.b
}

// Decode reads what Encode wrote.
func Decode(b []byte) (Record, error) {
	if len(b) < 2 || b[1] != recordVersion {
		return nil, ErrBadRecord
	}
	d := decoder{b: b[2:]}
	var r Record
	switch b[0] {
	case kindClusterCreated:
		r = ClusterCreated{d.string()}
	case kindBrokerRegistered:
		r = BrokerRegistered{Broker{ID: d.int32(), Host: d.string(), Port: d.int32(), Rack: d.string()}}
	case kindControllerElected:
		r = ControllerElected{d.int32()}
	case kindTopicCreated:
		r = TopicCreated{ID: d.id(), Name: d.string(), Internal: d.bool()}
	case kindPartitionChanged:
		r = PartitionChanged{Topic: d.id(), Index: d.int32(), Partition: Partition{
			Leader: d.int32(), LeaderEpoch: d.int32(), Replicas: d.ints(), ISR: d.ints()}}
	case kindTopicConfigured:
		r = TopicConfigured{Topic: d.id(), Name: d.string(), Value: d.string(), Unset: d.bool()}
	case kindTopicDeleted:
		r = TopicDeleted{d.id()}
	case kindBrokerConfigured:
		r = BrokerConfigured{Broker: d.string(), Name: d.string(), Value: d.string(), Unset: d.bool()}
	case kindGroupConfigured:
		r = GroupConfigured{Group: d.string(), Name: d.string(), Value: d.string(), Unset: d.bool()}
	case kindQuotaSet:
		r = QuotaSet{
			Entity: QuotaEntity{User: d.quotaName(), ClientID: d.quotaName(), IP: d.quotaName()},
			Name:   d.string(), Value: d.float(), Unset: d.bool(),
		}
	case kindProducerIDsAllocated:
		r = ProducerIDsAllocated{d.int()}
	case kindACLCreated:
		r = ACLCreated{d.acl()}
	case kindACLDeleted:
		r = ACLDeleted{d.acl()}
	case kindScramSet:
		r = ScramSet{d.scramUser(), auth.ScramCredential{Salt: d.string(), StoredKey: d.string(), ServerKey: d.string(), Iterations: d.int32()}}
	case kindScramUnset:
		r = ScramUnset{d.scramUser()}
	default:
		return nil, fmt.Errorf("%w: kind %d", ErrBadRecord, b[0])
	}
	if d.bad || len(d.b) != 0 {
		return nil, fmt.Errorf("%w: kind %d is damaged", ErrBadRecord, b[0])
	}
	return r, nil
}

type encoder struct{ b []byte }

func (e *encoder) head(kind byte)  { e.b = append(e.b, kind, recordVersion) }
func (e *encoder) int(v int64)     { e.b = binary.AppendVarint(e.b, v) }
func (e *encoder) id(v TopicID)    { e.b = append(e.b, v[:]...) }
func (e *encoder) string(v string) { e.b = append(binary.AppendUvarint(e.b, uint64(len(v))), v...) }

func (e *encoder) bool(v bool) {
	if v {
		e.b = append(e.b, 1)
		return
	}
	e.b = append(e.b, 0)
}

func (e *encoder) ints(v []int32) {
	e.b = binary.AppendUvarint(e.b, uint64(len(v)))
	for _, n := range v {
		e.int(int64(n))
	}
}

func (e *encoder) float(v float64) { e.b = binary.BigEndian.AppendUint64(e.b, math.Float64bits(v)) }

// How a part of a quota's entity is told: it does not take part, is for everybody, or has a name, which follows.
const (
	quotaNone    = 0
	quotaDefault = 1
	quotaNamed   = 2
)

func (e *encoder) quotaName(n QuotaName) {
	switch {
	case !n.Set:
		e.int(quotaNone)
	case n.Default:
		e.int(quotaDefault)
	default:
		e.int(quotaNamed)
		e.string(n.Name)
	}
}

func (e *encoder) config(name, value string, unset bool) {
	e.string(name)
	e.string(value)
	e.bool(unset)
}

func (e *encoder) acl(a auth.ACL) {
	e.b = append(e.b, byte(a.Kind), byte(a.Pattern), byte(a.Operation), byte(a.Permission))
	e.string(a.Name)
	e.string(a.Principal)
	e.string(a.Host)
}

// decoder reads fields until one does not fit; from then on it is bad and gives zeros.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) take(n int) []byte {
	if d.bad || n > len(d.b) {
		d.bad = true
		return nil
	}
	out := d.b[:n]
	d.b = d.b[n:]
	return out
}

func (d *decoder) int() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.bad = true
		return 0
	}
	d.take(n)
	return v
}

func (d *decoder) int32() int32 {
	v := d.int()
	if v != int64(int32(v)) {
		d.bad = true
	}
	return int32(v)
}

// count reads a length; every element takes at least a byte.
func (d *decoder) count() int {
	v, n := binary.Uvarint(d.b)
	if n <= 0 || v > uint64(len(d.b)-n) {
		d.bad = true
		return 0
	}
	d.take(n)
	return int(v)
}

func (d *decoder) string() string { return string(d.take(d.count())) }

func (d *decoder) id() (id TopicID) {
	copy(id[:], d.take(len(id)))
	return id
}

func (d *decoder) bool() bool {
	b := d.take(1)
	if len(b) == 1 && b[0] > 1 {
		d.bad = true
	}
	return len(b) == 1 && b[0] == 1
}

func (e *encoder) scramUser(u ScramUser) {
	e.b = append(e.b, byte(u.Mechanism))
	e.string(u.Name)
}

func (d *decoder) scramUser() (u ScramUser) {
	if b := d.take(1); b != nil {
		u.Mechanism = auth.ScramMechanism(b[0])
	}
	u.Name = d.string()
	return u
}

func (d *decoder) acl() (a auth.ACL) {
	if b := d.take(4); b != nil {
		a = auth.ACL{Kind: auth.Kind(b[0]), Pattern: auth.Pattern(b[1]), Operation: auth.Operation(b[2]), Permission: auth.Permission(b[3])}
	}
	a.Name, a.Principal, a.Host = d.string(), d.string(), d.string()
	return a
}

func (d *decoder) float() float64 {
	b := d.take(8)
	if len(b) < 8 {
		return 0
	}
	v := math.Float64frombits(binary.BigEndian.Uint64(b))
	d.bad = d.bad || math.IsNaN(v)
	return v
}

func (d *decoder) quotaName() QuotaName {
	switch d.int() {
	case quotaNone:
		return QuotaName{}
	case quotaDefault:
		return QuotaName{Set: true, Default: true}
	case quotaNamed:
		return QuotaName{Set: true, Name: d.string()}
	default:
		d.bad = true
		return QuotaName{}
	}
}

func (d *decoder) ints() []int32 {
	n := d.count()
	out := make([]int32, n)
	for i := range out {
		out[i] = d.int32()
	}
	return out
}
