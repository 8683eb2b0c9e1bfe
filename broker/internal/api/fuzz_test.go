package api_test

import (
	"encoding/binary"
	"testing"

	"github.com/leatstream/leat/broker/internal/api"
	"github.com/leatstream/leat/broker/internal/api/apitest"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// FuzzServe holds any bytes of any API and version to the bounds of the walk over all versions.
func FuzzServe(f *testing.F) {
	for _, v := range api.Versions() {
		for _, version := range []int16{v.Min, v.Max} {
			req := kmsg.RequestForKey(v.Key)
			req.SetVersion(version)
			f.Add(v.Key, version, apitest.Frame(example(req), 1)[8:])
		}
	}
	r := rig(f, map[string]string{"auto.create.topics.enable": "false"})
	r.Topic("t", 1)
	f.Fuzz(func(t *testing.T, key, version int16, rest []byte) {
		frame := binary.BigEndian.AppendUint16(nil, uint16(key))
		frame = binary.BigEndian.AppendUint16(frame, uint16(version))
		frame = append(binary.BigEndian.AppendUint32(frame, 1), rest...)
		if got, may := hostile(t, r, frame), mayCost(frame)+4<<20; got > may { // the fuzzer allocates beside it
			t.Errorf("%d bytes allocate %d, more than %d", len(frame), got, may)
		}
	})
}
