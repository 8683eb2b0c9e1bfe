package broker_test

import (
	"context"
	"fmt"
	"os"

	"github.com/leatstream/leat/broker"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A program keeps a broker inside, without a port, and talks to it as to any Kafka cluster.
func Example() {
	dir, err := os.MkdirTemp("", "leat")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)

	b, err := broker.New(broker.Config{DataDir: dir, Listen: []string{}})
	if err != nil {
		panic(err) // a *ConfigError: one sentence with the way out
	}
	ctx, cancel := context.WithCancel(context.Background())
	stopped := make(chan error, 1)
	go func() { stopped <- b.Run(ctx) }()

	client, err := kgo.NewClient(kgo.Dialer(b.DialContext), kgo.SeedBrokers("embedded:9092"),
		kgo.AllowAutoTopicCreation(), kgo.ConsumeTopics("greetings"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		panic(err)
	}
	if err := client.ProduceSync(ctx, &kgo.Record{Topic: "greetings", Value: []byte("hello")}).FirstErr(); err != nil {
		panic(err)
	}
	for _, r := range client.PollFetches(ctx).Records() {
		fmt.Printf("%s at %d\n", r.Value, r.Offset)
	}
	client.Close()
	cancel()
	fmt.Println("stopped:", <-stopped)
	// Output:
	// hello at 0
	// stopped: <nil>
}
