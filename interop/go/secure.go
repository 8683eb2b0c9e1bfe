package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/IBM/sarama"
	"github.com/segmentio/kafka-go"
	segmentscram "github.com/segmentio/kafka-go/sasl/scram"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/scram"
	xdg "github.com/xdg-go/scram"
)

// The user and the topic that suites/security.sh makes; alice may read and write this topic and no other.
const (
	secureUser, securePassword = "alice", "alice-secret"
	secureTopic                = "secure"
	forbiddenTopic             = "forbidden"
	secureRecords              = 10
)

// secureTLS trusts the certificate of INTEROP_CA only.
func secureTLS() (*tls.Config, error) {
	pem, err := os.ReadFile(os.Getenv("INTEROP_CA"))
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, errors.New("INTEROP_CA holds no certificate")
	}
	return &tls.Config{RootCAs: pool, ServerName: "localhost", MinVersion: tls.VersionTLS12}, nil
}

func secureValues(client string) []string {
	var all []string
	for n := range secureRecords {
		all = append(all, fmt.Sprintf("%s-%d", client, n))
	}
	return all
}

// mine counts the values of a client among all that are in the topic.
func mine(client string, values ...string) int {
	n := 0
	for _, v := range values {
		if strings.HasPrefix(v, client+"-") {
			n++
		}
	}
	return n
}

func franzSecure(boot string) error {
	conf, err := secureTLS()
	if err != nil {
		return err
	}
	const client = "franz"
	auth := scram.Auth{User: secureUser, Pass: securePassword}
	opts := []kgo.Opt{
		kgo.SeedBrokers(boot), kgo.DialTLSConfig(conf), kgo.SASL(auth.AsSha512Mechanism()), kgo.ConsumeTopics(secureTopic),
		kgo.ConsumerGroup("secure-" + client), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
	}
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		return err
	}
	defer cl.Close()
	ctx, cancel := patient()
	defer cancel()
	for _, v := range secureValues(client) {
		if err := cl.ProduceSync(ctx, &kgo.Record{Topic: secureTopic, Value: []byte(v)}).FirstErr(); err != nil {
			return err
		}
	}
	err = cl.ProduceSync(ctx, &kgo.Record{Topic: forbiddenTopic, Value: []byte("no")}).FirstErr()
	if !errors.Is(err, kerr.TopicAuthorizationFailed) {
		return fmt.Errorf("the forbidden topic: %w", err)
	}
	for got := 0; got < secureRecords; {
		fetches := cl.PollFetches(ctx)
		if err := errors.Join(fetches.Err(), ctx.Err()); err != nil {
			return err
		}
		for _, r := range fetches.Records() {
			got += mine(client, string(r.Value))
		}
	}
	auth.Pass = "wrong"
	intruder, err := kgo.NewClient(kgo.SeedBrokers(boot), kgo.DialTLSConfig(conf), kgo.SASL(auth.AsSha256Mechanism()))
	if err != nil {
		return err
	}
	defer intruder.Close()
	if err := intruder.Ping(ctx); !errors.Is(err, kerr.SaslAuthenticationFailed) {
		return fmt.Errorf("a wrong password: %w", err)
	}
	return nil
}

// saramaScram is the conversation that sarama leaves to its user.
type saramaScram struct{ *xdg.ClientConversation }

func (s *saramaScram) Begin(user, password, authzID string) error {
	cl, err := xdg.SHA256.NewClient(user, password, authzID)
	if err == nil {
		s.ClientConversation = cl.NewConversation()
	}
	return err
}

func saramaSecure(boot string) error {
	conf := saramaConfig(sarama.DefaultVersion)
	var err error
	if conf.Net.TLS.Config, err = secureTLS(); err != nil {
		return err
	}
	const client = "sarama"
	conf.Net.TLS.Enable, conf.Net.SASL.Enable = true, true
	conf.Net.SASL.User, conf.Net.SASL.Password, conf.Net.SASL.Mechanism = secureUser, securePassword, sarama.SASLTypeSCRAMSHA256
	conf.Net.SASL.SCRAMClientGeneratorFunc = func() sarama.SCRAMClient { return &saramaScram{} }
	p, err := sarama.NewSyncProducer([]string{boot}, conf)
	if err != nil {
		return err
	}
	for _, v := range secureValues(client) {
		if _, _, err := p.SendMessage(&sarama.ProducerMessage{Topic: secureTopic, Value: sarama.StringEncoder(v)}); err != nil {
			return err
		}
	}
	if _, _, err := p.SendMessage(&sarama.ProducerMessage{Topic: forbiddenTopic, Value: sarama.StringEncoder("no")}); !errors.Is(err, sarama.ErrTopicAuthorizationFailed) {
		return fmt.Errorf("the forbidden topic: %w", err)
	}
	if err := p.Close(); err != nil {
		return err
	}
	c, err := sarama.NewConsumer([]string{boot}, conf)
	if err != nil {
		return err
	}
	part, err := c.ConsumePartition(secureTopic, 0, sarama.OffsetOldest)
	if err != nil {
		return err
	}
	for got := 0; got < secureRecords; {
		select {
		case m := <-part.Messages():
			got += mine(client, string(m.Value))
		case <-time.After(patience):
			return fmt.Errorf("%d records", got)
		}
	}
	return errors.Join(part.Close(), c.Close())
}

func segmentioSecure(boot string) error {
	conf, err := secureTLS()
	if err != nil {
		return err
	}
	const client = "kafkago"
	mechanism, err := segmentscram.Mechanism(segmentscram.SHA512, secureUser, securePassword)
	if err != nil {
		return err
	}
	w := &kafka.Writer{Addr: kafka.TCP(boot), BatchTimeout: 10 * time.Millisecond, Transport: &kafka.Transport{TLS: conf, SASL: mechanism}}
	for _, v := range secureValues(client) {
		if err := w.WriteMessages(context.Background(), kafka.Message{Topic: secureTopic, Value: []byte(v)}); err != nil {
			return err
		}
	}
	if w.WriteMessages(context.Background(), kafka.Message{Topic: forbiddenTopic, Value: []byte("no")}) == nil {
		return errors.New("wrote to the forbidden topic") // kafka-go hides the reason
	}
	r := kafka.NewReader(kafka.ReaderConfig{
		Brokers: []string{boot}, Topic: secureTopic, GroupID: "secure-" + client, StartOffset: kafka.FirstOffset, MaxWait: time.Second,
		Dialer: &kafka.Dialer{TLS: conf, SASLMechanism: mechanism, Timeout: 10 * time.Second},
	})
	ctx, cancel := patient()
	defer cancel()
	for got := 0; got < secureRecords; {
		m, err := r.ReadMessage(ctx)
		if err != nil {
			return err
		}
		got += mine(client, string(m.Value))
	}
	return errors.Join(w.Close(), r.Close())
}
