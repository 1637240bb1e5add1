package jetstream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	js "github.com/nats-io/nats.go/jetstream"

	"github.com/whosaw/whosaw/internal/pipeline"
)

// Status is how a stream is read. Times are milliseconds since 1970; 0: not yet. Counts are since the start.
type Status struct {
	Source   string `json:"source"`
	Stream   string `json:"stream"`
	Consumer string `json:"consumer"`
	// State is what it does, in a word or two.
	State string `json:"state"`
	// Reading says that there is a connection and a consumer; if not, Error says why. Since is since when it is so.
	Reading bool   `json:"reading"`
	Error   string `json:"error,omitempty"`
	Since   int64  `json:"since"`
	Server  string `json:"server,omitempty"`
	// Waiting says why messages wait for the ledger, since WaitingSince; "": they do not.
	Waiting      string `json:"waiting,omitempty"`
	WaitingSince int64  `json:"waiting_since,omitempty"`
	// Pending is how many messages of the stream were not delivered yet, Unacknowledged how many were and are not durable yet, both
	// as of LagAt.
	Pending        uint64 `json:"pending"`
	Unacknowledged int    `json:"unacknowledged"`
	LagAt          int64  `json:"lag_at"`

	Messages int64 `json:"messages"`
	Lines    int64 `json:"lines"`
	Rejected int64 `json:"rejected"`
	Repeats  int64 `json:"repeats"`
	// GivenUp counts messages without one good line, which NATS was told not to deliver again.
	GivenUp int64 `json:"given_up"`
	// AckFailed counts acknowledgements that did not arrive; those messages come again and are repeats.
	AckFailed int64 `json:"ack_failed"`
	// Newest is the time of the youngest record, LastRead when messages were last taken.
	Newest   int64 `json:"newest"`
	LastRead int64 `json:"last_read"`
}

// busyTime is how long the ledger may take over a batch before the status says that messages wait.
const busyTime = 2 * time.Second

// Status tells how the stream is read.
func (c *Consumer) Status() Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.s
	if s.Waiting == "" && !c.taking.IsZero() && c.o.Now().Sub(c.taking) > busyTime {
		s.Waiting, s.WaitingSince = "the ledger is busy", c.taking.UnixMilli()
	}
	switch {
	case s.Waiting != "":
		s.State = "waiting"
	case !s.Reading:
		s.State = "not reading"
	default:
		s.State = "reading"
	}
	return s
}

func (c *Consumer) up(nc *nats.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.s.Server = nc.ConnectedAddr()
	if !c.s.Reading {
		c.s.Error = "connected; looking for the stream"
	}
}

// well: there is a consumer to read through.
func (c *Consumer) well() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.s.Reading {
		c.s.Since = c.o.Now().UnixMilli()
		c.o.Logger.Info("reading from NATS", slog.String("stream", c.cfg.Stream), slog.String("server", c.s.Server))
	}
	c.s.Reading, c.s.Error = true, ""
}

// down: nothing can be read, for a reason.
func (c *Consumer) down(reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.s.Reading {
		c.s.Since = c.o.Now().UnixMilli()
	}
	if c.s.Error != reason && reason != "stopped" {
		c.o.Logger.Warn("not reading from NATS", slog.String("stream", c.cfg.Stream), slog.String("reason", reason))
	}
	c.s.Reading, c.s.Error = false, reason
}

// remark notes a fault that does not end reading.
func (c *Consumer) remark(text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.s.Error != text {
		c.o.Logger.Warn("reading from NATS", slog.String("stream", c.cfg.Stream), slog.String("reason", text))
	}
	c.s.Error = text
}

func (c *Consumer) beginSession(end context.CancelFunc) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.session = end
}

func (c *Consumer) endSession() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.session != nil {
		c.session()
	}
}

func (c *Consumer) trouble(err error) {
	if err != nil && !errors.Is(err, context.Canceled) {
		c.down(err.Error())
	}
}

func (c *Consumer) waiting(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.s.Waiting != err.Error() {
		c.o.Logger.Warn("messages wait for the ledger", slog.String("stream", c.cfg.Stream), slog.Any("error", err))
	}
	if c.s.Waiting == "" {
		c.s.WaitingSince = c.o.Now().UnixMilli()
	}
	c.s.Waiting, c.taking = err.Error(), time.Time{}
}

// offered: the sink has a batch.
func (c *Consumer) offered() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.taking = c.o.Now()
}

func (c *Consumer) taken(messages, newest int64, out *pipeline.Outcome) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.s.Waiting, c.s.WaitingSince, c.taking = "", 0, time.Time{}
	c.s.Messages += messages
	c.s.Lines += out.Lines
	c.s.Rejected += int64(len(out.Rejects))
	c.s.Repeats += out.Duplicates
	c.s.Newest = max(c.s.Newest, newest)
	c.s.LastRead = c.o.Now().UnixMilli()
}

func (c *Consumer) acknowledged(d *delivered, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case err != nil:
		c.s.AckFailed++
	case d.poison():
		c.s.GivenUp++
	}
}

func (c *Consumer) lag(info *js.ConsumerInfo) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.s.Pending, c.s.Unacknowledged, c.s.LagAt = info.NumPending, info.NumAckPending, c.o.Now().UnixMilli()
}

// connectError words why there is no connection. Texts of the library may name addresses, never secrets: those are in files.
func connectError(err error) string {
	switch {
	case errors.Is(err, nats.ErrAuthorization), errors.Is(err, nats.ErrAuthExpired), errors.Is(err, nats.ErrAuthRevoked):
		return "NATS refuses the user: check credentials, nkey, user and password_file, or token_file"
	case errors.Is(err, nats.ErrNoServers):
		return "no NATS server can be reached"
	case errors.Is(err, nats.ErrSecureConnRequired):
		return "NATS asks for TLS: write its address with tls://, and give ca if its certificate is signed by your own"
	}
	return fmt.Sprintf("NATS cannot be reached: %v", err)
}

// requestError words a request that had no answer.
func requestError(err error) error {
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, nats.ErrTimeout):
		return fmt.Errorf("no answer: JetStream has no leader, or the user lacks permission for $JS.API: %w", err)
	case errors.Is(err, nats.ErrNoResponders):
		return fmt.Errorf("JetStream is not there (starting, or not enabled): %w", err)
	}
	return err
}

// readError words why reading stopped.
func readError(err error) error {
	switch {
	case errors.Is(err, js.ErrConsumerDeleted):
		return errors.New("the consumer was deleted; it is made again, and the stream is read from its beginning")
	case errors.Is(err, js.ErrNoHeartbeat):
		return errors.New("NATS has gone silent")
	case errors.Is(err, context.Canceled):
		return err
	}
	return fmt.Errorf("read from NATS: %w", err)
}

func joined(servers []string) string { return strings.Join(servers, ",") }
