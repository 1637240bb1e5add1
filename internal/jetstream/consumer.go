package jetstream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	js "github.com/nats-io/nats.go/jetstream"

	"github.com/whosaw/whosaw/internal/catalog"
	"github.com/whosaw/whosaw/internal/ingest"
	"github.com/whosaw/whosaw/internal/pipeline"
)

// A Sink keeps what is read: a [pipeline.Live].
type Sink interface {
	// Take returns once the batch is durable, with what became of its lines. It blocks while there is more than can be judged. After
	// an error the messages are handed over again, decoded anew; lines that it has already must do no harm.
	Take(ctx context.Context, b *ingest.Batch, from pipeline.Sender) (pipeline.Outcome, error)
}

// Options are what a consumer needs.
type Options struct {
	Config  Config
	Catalog *catalog.Catalog
	Keys    *ingest.KeyMap // where key material lies; nil: nobody says
	Sink    Sink
	Logger  *slog.Logger
	Now     func() time.Time // nil: time.Now
}

const (
	firstWait    = 200 * time.Millisecond // after an error; doubled up to lastWait
	lastWait     = 10 * time.Second
	requestTime  = 10 * time.Second      // for an answer of the servers
	gatherTime   = 20 * time.Millisecond // more messages are waited for once one came
	batchBytes   = 16 << 20              // messages of so many bytes, as they were sent, are taken together
	acksAtOnce   = 64                    // acknowledgements under way
	lagEvery     = 5 * time.Second       // the servers are asked how much waits
	heartbeat    = 5 * time.Second       // silence of the servers for twice as long is an error
	pullExpiry   = 30 * time.Second
	reconnectMax = 5 * time.Second
)

// Consumer reads one stream.
type Consumer struct {
	o       Options
	cfg     *Config
	stream  *ingest.Stream
	types   pipeline.Types
	secrets []nats.Option

	mu      sync.Mutex
	s       Status
	taking  time.Time          // since when the sink has a batch; zero: it has none
	session context.CancelFunc // ends what goes on over the connection that is lost
}

// New checks the configuration, and that its files can be read. It connects to nothing yet.
func New(o Options) (*Consumer, error) {
	c := &Consumer{o: o}
	c.cfg = &c.o.Config
	if err := c.cfg.Check(); err != nil {
		return nil, err
	}
	if c.o.Now == nil {
		c.o.Now = time.Now
	}
	if c.o.Logger == nil {
		c.o.Logger = slog.New(slog.DiscardHandler)
	}
	var err error
	if c.types, err = c.cfg.types(); err != nil {
		return nil, fmt.Errorf("jetstream %s: types: %w", c.cfg.Stream, err)
	}
	c.stream, err = ingest.NewStream(ingest.StreamOptions{
		Source: c.cfg.source(), Format: c.cfg.Format, Mapping: c.cfg.Mapping, Keys: o.Keys, Catalog: o.Catalog,
	})
	if err != nil {
		return nil, fmt.Errorf("jetstream %s: %w", c.cfg.Stream, err)
	}
	if c.secrets, err = c.cfg.secrets(); err != nil {
		return nil, fmt.Errorf("jetstream %s: %w", c.cfg.Stream, err)
	}
	c.s = Status{
		Source: c.cfg.source(), Stream: c.cfg.Stream, Consumer: c.cfg.consumer(),
		Error: "not connected yet", Since: c.o.Now().UnixMilli(),
	}
	return c, nil
}

// Run reads the stream until ctx ends, and returns nil then. Whatever goes wrong before shows in Status and is tried again.
func (c *Consumer) Run(ctx context.Context) error {
	wait := firstWait
	for ctx.Err() == nil {
		began := c.o.Now()
		err := c.connected(ctx)
		if ctx.Err() != nil {
			break
		}
		c.trouble(err)
		if c.o.Now().Sub(began) > time.Minute {
			wait = firstWait
		}
		pause(ctx, jitter(wait))
		wait = min(2*wait, lastWait)
	}
	c.down("stopped")
	return nil
}

// connected makes a connection, which comes back by itself, and reads until it is closed for good.
func (c *Consumer) connected(ctx context.Context) error {
	options := append([]nats.Option{
		nats.Name("whosaw " + c.cfg.source()),
		nats.RetryOnFailedConnect(true),
		nats.MaxReconnects(-1),
		nats.IgnoreAuthErrorAbort(), // a password may be mended
		nats.CustomReconnectDelay(func(attempts int) time.Duration {
			return jitter(min(firstWait<<min(attempts, 10), reconnectMax))
		}),
		nats.ReconnectBufSize(-1), // an acknowledgement for a connection that is gone is worth nothing
		nats.ConnectHandler(func(nc *nats.Conn) { c.up(nc) }),
		nats.ReconnectHandler(func(nc *nats.Conn) { c.up(nc) }),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				c.down(fmt.Sprintf("the connection to NATS is gone: %v", err))
			}
			c.endSession()
		}),
		nats.ReconnectErrHandler(func(_ *nats.Conn, err error) { c.down(connectError(err)) }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			if errors.Is(err, nats.ErrPermissionViolation) {
				c.remark("NATS refuses: the user lacks a permission for the stream's API, its consumer or acknowledgements")
			}
		}),
	}, c.secrets...)
	nc, err := nats.Connect(joined(c.cfg.Servers), options...)
	if err != nil {
		return errors.New(connectError(err))
	}
	defer nc.Close()
	wait := firstWait
	for ctx.Err() == nil && !nc.IsClosed() {
		if !nc.IsConnected() {
			pause(ctx, firstWait)
			continue
		}
		began := c.o.Now()
		err := c.read(ctx, nc)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if nc.IsConnected() {
			c.trouble(err)
		}
		if c.o.Now().Sub(began) > time.Minute {
			wait = firstWait
		}
		pause(ctx, jitter(wait))
		wait = min(2*wait, lastWait)
	}
	return errors.New("the connection to NATS was closed")
}

// read finds or makes the durable consumer and reads through it until something goes wrong.
func (c *Consumer) read(run context.Context, nc *nats.Conn) error {
	stream, err := js.New(nc)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(run)
	c.beginSession(cancel)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	cons, err := c.durable(ctx, stream)
	if err != nil {
		return err
	}
	most := c.cfg.batch()
	iter, err := cons.Messages(js.PullMaxMessagesWithBytesLimit(most, pullBytes(nc)), js.PullExpiry(pullExpiry), js.PullHeartbeat(heartbeat))
	if err != nil {
		return fmt.Errorf("ask for messages: %w", err)
	}
	defer iter.Stop()
	wg.Go(func() { c.watchLag(ctx, cons) })
	if !nc.IsConnected() {
		return errors.New("the connection to NATS is gone")
	}
	c.well()
	for {
		msgs, err := gather(ctx, iter, most)
		if len(msgs) > 0 {
			if err := c.take(run, msgs); err != nil { // also over a lost connection: once durable is durable
				return err
			}
		}
		if err != nil {
			return readError(err)
		}
	}
}

// pullBytes bounds what one request may bring; it must not be less than one message.
func pullBytes(nc *nats.Conn) int {
	return max(batchBytes, 2*int(nc.MaxPayload()))
}

// durable gives the consumer that remembers what was acknowledged.
func (c *Consumer) durable(ctx context.Context, stream js.JetStream) (js.Consumer, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	name := c.cfg.consumer()
	cons, err := stream.Consumer(ctx, c.cfg.Stream, name)
	switch {
	case errors.Is(err, js.ErrStreamNotFound):
		return nil, fmt.Errorf("stream %s is not there: make it, or name another", c.cfg.Stream)
	case errors.Is(err, js.ErrJetStreamNotEnabled), errors.Is(err, js.ErrJetStreamNotEnabledForAccount):
		return nil, errors.New("JetStream is not enabled on the servers, or not for this account")
	case errors.Is(err, js.ErrNotPullConsumer):
		return nil, fmt.Errorf("consumer %s is a push consumer: name another, and it is made", name)
	case errors.Is(err, js.ErrConsumerNotFound):
		return c.create(ctx, stream)
	case err != nil:
		return nil, fmt.Errorf("look for consumer %s: %w", name, requestError(err))
	}
	have := cons.CachedInfo().Config
	switch {
	case have.AckPolicy != js.AckExplicitPolicy:
		return nil, fmt.Errorf("consumer %s does not acknowledge explicitly: remove it, or name another, and it is made as it must be", name)
	case have.MaxDeliver > 0:
		return nil, fmt.Errorf("consumer %s gives up after %d deliveries, which would lose messages: set max deliver to -1, or name another", name, have.MaxDeliver)
	case have.HeadersOnly:
		return nil, fmt.Errorf("consumer %s brings headers only: name another, and it is made", name)
	}
	if !slices.Equal(filters(have), c.cfg.Subjects) && !(len(filters(have)) == 0 && len(c.cfg.Subjects) == 0) {
		have.FilterSubject, have.FilterSubjects = "", c.cfg.Subjects
		if cons, err = stream.UpdateConsumer(ctx, c.cfg.Stream, have); err != nil {
			return nil, fmt.Errorf("change the subjects of consumer %s: %w", name, requestError(err))
		}
	}
	return cons, nil
}

func filters(c js.ConsumerConfig) []string {
	if c.FilterSubject != "" {
		return []string{c.FilterSubject}
	}
	return c.FilterSubjects
}

func (c *Consumer) create(ctx context.Context, stream js.JetStream) (js.Consumer, error) {
	cons, err := stream.CreateConsumer(ctx, c.cfg.Stream, js.ConsumerConfig{
		Durable: c.cfg.consumer(), Description: "whosaw, source " + c.cfg.source(),
		DeliverPolicy: js.DeliverAllPolicy, AckPolicy: js.AckExplicitPolicy, AckWait: c.cfg.ackWait(), MaxDeliver: -1,
		MaxAckPending: 2 * c.cfg.batch(), FilterSubjects: c.cfg.Subjects,
	})
	if err != nil {
		return nil, fmt.Errorf("make consumer %s: %w", c.cfg.consumer(), requestError(err))
	}
	c.o.Logger.Info("made a consumer; the stream is read from its beginning",
		slog.String("stream", c.cfg.Stream), slog.String("consumer", c.cfg.consumer()))
	return cons, nil
}

// gather waits for a message and takes with it those that come right behind.
func gather(ctx context.Context, iter js.MessagesContext, most int) ([]js.Msg, error) {
	m, err := iter.Next(js.NextContext(ctx))
	if err != nil {
		return nil, err
	}
	msgs := []js.Msg{m}
	size := len(m.Data())
	end := time.Now().Add(gatherTime)
	for len(msgs) < most && size < batchBytes {
		left := time.Until(end)
		if left <= 0 {
			break
		}
		m, err := iter.Next(js.NextMaxWait(left))
		if errors.Is(err, nats.ErrTimeout) {
			break
		}
		if err != nil {
			return msgs, err
		}
		msgs = append(msgs, m)
		size += len(m.Data())
	}
	return msgs, nil
}

// delivered is a message with what became of its lines.
type delivered struct {
	js.Msg
	sequence uint64
	lines    int64
	rejected int64
	reason   string // of the first rejected line
}

// take makes messages durable and acknowledges them. It tries until it succeeds or ctx ends.
func (c *Consumer) take(ctx context.Context, msgs []js.Msg) error {
	list := make([]*delivered, 0, len(msgs))
	by := map[uint64]*delivered{}
	for _, m := range msgs {
		meta, err := m.Metadata()
		if err != nil {
			return fmt.Errorf("a message is not one of JetStream: %w", err)
		}
		d := &delivered{Msg: m, sequence: meta.Sequence.Stream}
		list = append(list, d)
		by[d.sequence] = d
	}
	stop := c.keep(ctx, list)
	defer stop()
	for len(list) > 0 {
		n, err := c.takeSome(ctx, list, by)
		if err != nil {
			return err
		}
		c.acknowledge(ctx, list[:n])
		list = list[n:]
	}
	return nil
}

// takeSome makes the first of some messages durable, as many as may lie decompressed in memory at once. It tries until it succeeds or ctx ends.
func (c *Consumer) takeSome(ctx context.Context, list []*delivered, by map[uint64]*delivered) (n int, err error) {
	for wait := firstWait; ; wait = min(2*wait, lastWait) {
		n, out, newest, err := c.submit(ctx, list)
		if err == nil {
			for i := range out.Rejects {
				if d := by[sequenceOf(out.Rejects[i].Position)]; d != nil {
					if d.rejected++; d.reason == "" {
						d.reason = out.Rejects[i].Reason
					}
				}
			}
			c.taken(int64(n), newest, &out)
			return n, nil
		}
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		c.waiting(err)
		pause(ctx, wait)
	}
}

// submit decodes the first n messages, one at least, and hands them over once. What a next one has decompressed is not known before, so it is
// begun only where the largest that there may be has room.
func (c *Consumer) submit(ctx context.Context, list []*delivered) (n int, out pipeline.Outcome, newest int64, err error) {
	now, most := c.o.Now().UnixMilli(), c.cfg.maxMessage()
	left := c.cfg.maxDecompressed()
	var batches []*ingest.Batch
	for _, d := range list {
		if len(batches) > 0 && left < d.mostBytes(most) {
			break
		}
		b, size := decode(ctx, c.stream, content{d.sequence, d.Headers(), d.Data()}, most, now)
		if err := ctx.Err(); err != nil {
			return 0, out, 0, err
		}
		left -= size
		d.lines, d.rejected, d.reason = b.Lines, 0, ""
		for k := range b.Records {
			newest = max(newest, b.Records[k].Time)
		}
		batches = append(batches, b)
	}
	c.offered()
	out, err = c.o.Sink.Take(ctx, merge(batches), pipeline.Sender{Types: c.types})
	return len(batches), out, newest, err
}

// mostBytes bounds what a message is decompressed: a plain one is as long as it is.
func (d *delivered) mostBytes(most int64) int64 {
	if ingest.Compressed(d.Data()) {
		return most
	}
	return int64(len(d.Data()))
}

// keep tells the servers now and then that the messages are being worked on, so that they do not deliver them again meanwhile.
func (c *Consumer) keep(ctx context.Context, list []*delivered) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		t := time.NewTicker(c.cfg.ackWait() / 3)
		defer t.Stop()
		for {
			select {
			case <-t.C:
			case <-ctx.Done():
				return
			}
			for _, d := range list {
				if err := d.InProgress(); err != nil && !errors.Is(err, js.ErrMsgAlreadyAckd) {
					break // the connection is gone; what is delivered again does no harm
				}
			}
		}
	})
	return func() { cancel(); wg.Wait() }
}

// acknowledge tells the servers that messages are durable, and waits for their word. What fails is delivered again and known then. A
// message without one good line is given up, with the reason; its lines are among the rejects.
func (c *Consumer) acknowledge(ctx context.Context, list []*delivered) {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	work := make(chan *delivered)
	var wg sync.WaitGroup
	for range min(acksAtOnce, len(list)) {
		wg.Go(func() {
			for d := range work {
				c.acknowledged(d, d.settle(ctx))
			}
		})
	}
	for _, d := range list {
		work <- d
	}
	close(work)
	wg.Wait()
}

func (d *delivered) poison() bool { return d.lines > 0 && d.rejected >= d.lines }

func (d *delivered) settle(ctx context.Context) error {
	if d.poison() {
		return d.TermWithReason("whosaw rejected all lines: " + d.reason)
	}
	return d.DoubleAck(ctx)
}

// watchLag asks now and then how much waits.
func (c *Consumer) watchLag(ctx context.Context, cons js.Consumer) {
	t := time.NewTicker(lagEvery)
	defer t.Stop()
	for {
		ask, cancel := context.WithTimeout(ctx, requestTime)
		info, err := cons.Info(ask)
		cancel()
		if err == nil {
			c.lag(info)
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// jitter spreads tries of many clients: d give or take a quarter.
func jitter(d time.Duration) time.Duration {
	return d*3/4 + rand.N(d/2)
}
