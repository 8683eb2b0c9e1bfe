//go:build !linux

package bench

import "time"

func sharpen() {}

func sleepUntil(t time.Time) { time.Sleep(time.Until(t)) }
