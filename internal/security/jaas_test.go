package security

import (
	"maps"
	"testing"
)

func TestJAAS(t *testing.T) {
	j, err := ParseJAAS("org.apache.kafka.common.security.plain.PlainLoginModule required\n  username=\"admin\"\tpassword=\"ad\\\"min=;\"\n user_alice=\"a b\" user_bob=plain;")
	if err != nil || j.Module != "org.apache.kafka.common.security.plain.PlainLoginModule" || j.Options["password"] != `ad"min=;` ||
		!maps.Equal(j.Users(), map[string]string{"alice": "a b", "bob": "plain"}) {
		t.Errorf("%+v, %v", j, err)
	}
	if j, err := ParseJAAS("M required;"); err != nil || len(j.Options) != 0 {
		t.Errorf("%+v, %v", j, err)
	}
	for _, bad := range []string{"", "M", "M required", "M required a=;", "M required a=\"b;", "M required a b=c;", "M a=b;", "M required a=b a=c;", "M required =a=;", `M required "=" = "x" y;`} {
		if j, err := ParseJAAS(bad); err == nil {
			t.Errorf("%q is %+v", bad, j)
		}
	}
}
