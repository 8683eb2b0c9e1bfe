package broker_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/leatstream/leat/broker/brokertest"
	"github.com/twmb/franz-go/pkg/kadm"
)

// TestTenThousandPartitions: partitions without records cost neither files nor a noticeable start.
func TestTenThousandPartitions(t *testing.T) {
	c := brokertest.Start(t, 1)
	ctx := testContext(t)
	adm := kadm.NewClient(c.Client(t))
	var names []string
	for i := range 100 {
		names = append(names, fmt.Sprintf("t%d", i))
	}
	created, err := adm.CreateTopics(ctx, 100, 1, nil, names...)
	if err != nil || created.Error() != nil {
		t.Fatal(err, created.Error())
	}
	begin := time.Now()
	c.Restart()
	took := time.Since(begin)
	t.Logf("restart with 10,000 partitions: %s", took)
	if took > time.Minute {
		t.Errorf("a restart took %s", took)
	}
	topics, err := adm.ListTopics(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if n := topics["t99"].Partitions; len(topics) != 100 || len(n) != 100 {
		t.Errorf("%d topics, %d partitions in the last", len(topics), len(n))
	}
}
