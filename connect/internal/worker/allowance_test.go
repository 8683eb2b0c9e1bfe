package worker

import "testing"

// TestTheLastBatchMayBeLarger follows plugin.proto: credit for one batch and one byte is enough for a batch of any size,
// and then there is none until it is given again.
func TestTheLastBatchMayBeLarger(t *testing.T) {
	var a allowance
	if a.spend(1) {
		t.Error("without any credit")
	}
	a = allowance{}
	a.grow(10, 2)
	if !a.spend(1000) {
		t.Error("ten bytes are left: the batch may be larger")
	}
	if a.spend(1) {
		t.Error("the bytes are overdrawn")
	}
	a.grow(2000, 5)
	if !a.spend(1) {
		t.Error("there is credit again")
	}
}
