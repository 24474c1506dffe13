package tracing

import "llmproxy/config"

// sampler decides which requests are told of, before anything is made for
// them. It agrees with the SDK's samplers of the same names, and so with other
// programs of the same trace; unlike those it allocates nothing.
type sampler struct {
	heed  bool   // who has a parent is sampled if that is
	below uint64 // else, if this much of the trace's id is below: of 1<<63
}

func newSampler(s config.Sampler) sampler {
	below := uint64(s.Ratio * (1 << 63))
	if s.Ratio >= 1 {
		below = 1 << 63
	}
	return sampler{heed: s.ParentBased, below: below}
}

// sample reports whether a request is told of. half is the second half of its
// trace's id, the part that chance decides by; has says whether p is a parent.
func (s sampler) sample(half uint64, p *parent, has bool) bool {
	if s.heed && has {
		return p.sampled
	}
	return half>>1 < s.below
}
