package admin

import "testing"

// TestTargetsStayInsideThePartition places each kind of target in a partition that holds offsets 10 to 19.
func TestTargetsStayInsideThePartition(t *testing.T) {
	const start, end, timed = 10, 20, 14
	for _, c := range []struct {
		target     Target
		here, want int64
	}{
		{Target{Kind: ToStart}, 15, 10},
		{Target{Kind: ToEnd}, 15, 20},
		{Target{Kind: ToCurrent}, 15, 15},
		{Target{Kind: ToCurrent}, 5, 10}, // what was committed is deleted by now
		{Target{Kind: ToTime}, 15, 14},
		{Target{Kind: ToOffset, N: 12}, 15, 12},
		{Target{Kind: ToOffset, N: 0}, 15, 10},
		{Target{Kind: ToOffset, N: 99}, 15, 20},
		{Target{Kind: ToShift, N: 2}, 15, 17},
		{Target{Kind: ToShift, N: -2}, 15, 13},
		{Target{Kind: ToShift, N: 7}, 15, 20},
		{Target{Kind: ToShift, N: -7}, 15, 10},
	} {
		if got := c.target.place(c.here, start, end, timed); got != c.want {
			t.Errorf("%+v from %d: %d, want %d", c.target, c.here, got, c.want)
		}
	}
}
