package group_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/leatstream/leat/broker/internal/group"
	"github.com/twmb/franz-go/pkg/kerr"
)

// TestExpressions: what people write is taken, and what a few bytes would keep the broker busy with is not.
func TestExpressions(t *testing.T) {
	for _, good := range []string{"", "a", ".*", "(orders|payments)-.+", `[a-z]{1,8}-\d+`, strings.Repeat("some-topic-of-ours|", 400), strings.Repeat("team.*|", 200), "(?i)prod(?:uction)?[._-].*"} {
		if _, err := group.Expression("F", good); err != nil {
			t.Errorf("%.40q: %v", good, err)
		}
	}
	for _, bad := range []string{"(", "a)|(b", "*", strings.Repeat(".{1000}", 11), "((((.{10}){10}){10}){10}){10}", strings.Repeat(".?", 1000), strings.Repeat("(.?.?)*", 800), strings.Repeat(".{0,500}", 2)} {
		_, err := group.Expression("F", bad)
		var r *group.Refusal
		if !errors.As(err, &r) || r.Code != kerr.InvalidRegularExpression || !strings.HasPrefix(r.Why, "F ") {
			t.Errorf("%.40q: %v", bad, err)
		}
	}
}
