package detect

// Touch is what one access did to the tests: for a drill that asks whether an event of the shop was looked at, and how near
// it came to an alarm.
type Touch struct {
	Seq uint64 // of the access
	// Answers counts the detectors' questions that it answered, whatever the answer.
	Answers int64
	// Height is the highest S/h that a test rose to at this access; 1 and more is a finding's. 0: no test rose.
	Height float64
	// Detector is whose test that was; "" if none rose.
	Detector string
}

// Trace has fn told of each access once it is judged: one that waits for its issuance is told of twice, the second
// time when that is no longer expected. Only a drill asks for it.
func (e *Engine) Trace(fn func(Touch)) { e.trace = fn }

// rise is the highest S/h reached since the trace last looked.
type rise struct {
	height float64
	by     detector
}

func (p *rise) to(d detector, height float64) {
	if height > p.height {
		*p = rise{height, d}
	}
}

// traced does the work on one access and tells of it.
func (e *Engine) traced(seq uint64, work func()) {
	before := e.answers()
	e.peak = rise{}
	work()
	t := Touch{Seq: seq, Answers: e.answers() - before, Height: e.peak.height}
	if t.Height > 0 {
		t.Detector = detectorNames[e.peak.by]
	}
	e.trace(t)
}

func (e *Engine) answers() int64 {
	var n int64
	for d := range e.stats {
		n += e.stats[d].trials
	}
	return n
}
