package main

import (
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/leatstream/leat/broker"
	"github.com/leatstream/leat/internal/diag"
)

func TestPropertiesFormat(t *testing.T) {
	for src, want := range map[string]map[string]string{
		"a=b":                         {"a": "b"},
		"a = b ":                      {"a": "b "},
		"a:b\r\nc d":                  {"a": "b", "c": "d"},
		"  a\t=\tb":                   {"a": "b"},
		"a":                           {"a": ""},
		"a=":                          {"a": ""},
		"=b":                          {"": "b"},
		"a==b":                        {"a": "=b"},
		"a = = b":                     {"a": "= b"},
		"#a=b\n!c=d\n  # e\n\n":       {},
		"a=b#c":                       {"a": "b#c"},
		"a=1,\\\n  2,\\\n  3\nb=4":    {"a": "1,2,3", "b": "4"},
		"a=b\\\\\nc=d":                {"a": "b\\", "c": "d"},
		"a=b\\":                       {"a": "b"},
		"a=b\\\n#c":                   {"a": "b#c"},
		`a\ b\=\:c=d`:                 {"a b=:c": "d"},
		`a=\t\n\r\f\q\u00e9\u20AC`:    {"a": "\t\n\r\fqé€"},
		"a=1\na=2":                    {"a": "2"},
		"\fa=b":                       {"a": "b"},
		"cheeses":                     {"cheeses": ""},
		"a=1\rb=2":                    {"a": "1", "b": "2"},
		"path=c:\\\\data\\\\kafka":    {"path": `c:\data\kafka`},
		"sasl.jaas.config=x y=\"z\";": {"sasl.jaas.config": `x y="z";`},
	} {
		var d diag.List
		got := map[string]string{}
		for _, p := range readProperties("f", src, &d) {
			got[p.name] = p.value
		}
		if d.Len() != 0 || !maps.Equal(got, want) {
			t.Errorf("%q: %q, want %q (%v)", src, got, want, d.Err())
		}
	}
}

func TestPropertiesKnowTheirLine(t *testing.T) {
	var d diag.List
	ps := readProperties("f", "# c\na=\\\n 1\n\nb=2\n", &d)
	if len(ps) != 2 || ps[0].at.Line != 2 || ps[1].at.Line != 5 {
		t.Fatalf("%+v", ps)
	}
}

// FuzzProperties holds any text to places inside of it.
func FuzzProperties(f *testing.F) {
	f.Add("a=b\\\nc\\u00e9")
	f.Fuzz(func(t *testing.T, src string) {
		var d diag.List
		for _, p := range readProperties("f", src, &d) {
			if p.at.Line < 1 || p.at.Line > len(src)+1 {
				t.Errorf("line %d of %d bytes", p.at.Line, len(src))
			}
		}
	})
}

func TestEnvironment(t *testing.T) {
	e := readEnvironment([]string{
		"PATH=/bin", "KAFKA_NUM_PARTITIONS=3", "KAFKA_CFG_LOG_DIRS=/x", "KAFKA_LISTENER_NAME_INTERNAL_SSL_KEYSTORE__X___Y=z",
		"KAFKA_HEAP_OPTS=-Xmx1G", "KAFKA_LOG4J_LOGGERS=x", "KAFKA_JMX_PORT=1", "KAFKA_PORT=tcp://10.0.0.1:9092", "KAFKA_PORT_9092_TCP=x",
		"KAFKA_SERVICE_HOST=10.0.0.1", "CLUSTER_ID=abc ", "ALLOW_PLAINTEXT_LISTENER=yes", "KAFKAESQUE=1", "KAFKA_BROKER_RACK=",
	})
	got := map[string]string{}
	for _, p := range e.properties {
		got[p.name] = p.value
	}
	want := map[string]string{"num.partitions": "3", "log.dirs": "/x", "listener.name.internal.ssl.keystore_x-y": "z"}
	if !maps.Equal(got, want) || e.clusterID != "abc" || !e.insecure {
		t.Errorf("%v %+v", got, e)
	}
}

// FuzzSettings starts a broker with any file and variable: there is a configuration, or an error that says where.
func FuzzSettings(f *testing.F) {
	f.Add("broker: 0\nlisten: 127.0.0.1:9092\nconfig: {num.partitions: 3, log.retention.ms: [1, 2]}\n", true, "KAFKA_NUM_PARTITIONS=3")
	f.Add("broker: &a [*a]\n", true, "KAFKA_CFG_LISTENERS=PLAINTEXT://:9092")
	f.Add("num.partitions=x\nlisteners=A://0.0.0.0:1,,B://[::]:\n", false, "KAFKA_=")
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, src string, yaml bool, variable string) {
		name := "broker.properties"
		if yaml {
			name = "leat.yaml"
		}
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(src), 0o600); err != nil {
			t.Fatal(err)
		}
		flags := brokerFlags{config: file, data: dir}
		cfg, err := flags.read([]string{variable}, func(string) bool { return false })
		if err != nil {
			if err.Error() == "" {
				t.Error("an error without words")
			}
			return
		}
		_, _ = broker.New(cfg)
	})
}

func TestALaterLayerReplacesWhatMeansTheSame(t *testing.T) {
	s := settings{properties: map[string]property{}}
	s.add([]property{{name: "node.id", value: "1"}, {name: "log.retention.ms", value: "5"}, {name: "num.partitions", value: "2"}})
	s.add([]property{{name: "broker.id", value: "7"}, {name: "log.retention.hours", value: "1"}, {name: "log.retention.minutes", value: "1"}})
	want := map[string]string{"broker.id": "7", "log.retention.hours": "1", "log.retention.minutes": "1", "num.partitions": "2"}
	if got := s.values(); !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
