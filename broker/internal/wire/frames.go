package wire

import (
	"math/bits"
	"sync"
)

// framePool keeps buffers of requests in classes by powers of two.
type framePool struct {
	classes [28]sync.Pool // 1 KiB to 128 MiB
}

type frame struct {
	b     []byte
	class int
}

var frames framePool

const smallestClass = 10

func (p *framePool) get(size int) *frame {
	class := max(bits.Len(uint(max(size, 1)-1))-smallestClass, 0)
	if class >= len(p.classes) {
		return &frame{b: make([]byte, size), class: -1}
	}
	if f, ok := p.classes[class].Get().(*frame); ok {
		f.b = f.b[:size]
		return f
	}
	return &frame{b: make([]byte, size, 1<<(class+smallestClass)), class: class}
}

func (p *framePool) put(f *frame) {
	if f.class >= 0 {
		p.classes[f.class].Put(f)
	}
}
