package broker_test

import (
	"testing"

	"github.com/leatstream/leat/broker/brokertest"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestAClientThatMeantAnotherBrokerIsToldSo follows KIP-1242: cluster and node, both or none.
func TestAClientThatMeantAnotherBrokerIsToldSo(t *testing.T) {
	ctx := testContext(t)
	cl := brokertest.Start(t, 1).Client(t)
	md, err := kadm.NewClient(cl).Metadata(ctx)
	if err != nil {
		t.Fatal(err)
	}
	own, other := md.Cluster, "another-cluster"
	for _, c := range []struct {
		cluster *string
		node    int32
		want    *kerr.Error
	}{
		{nil, -1, nil},
		{&own, md.Controller, nil},
		{&other, md.Controller, kerr.RebootstrapRequired},
		{&own, md.Controller + 1, kerr.RebootstrapRequired},
		{&own, -1, kerr.InvalidRequest},
	} {
		req := kmsg.NewPtrApiVersionsRequest()
		req.ClientSoftwareName, req.ClientSoftwareVersion, req.ClusterID, req.NodeID = "test", "1", c.cluster, c.node
		resp, err := req.RequestWith(ctx, cl)
		if err != nil {
			t.Fatal(err)
		}
		want := int16(0)
		if c.want != nil {
			want = c.want.Code
		}
		if resp.ErrorCode != want {
			t.Errorf("cluster %v, node %d: code %d, want %d", c.cluster, c.node, resp.ErrorCode, want)
		}
	}
}
