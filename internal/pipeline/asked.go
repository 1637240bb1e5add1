package pipeline

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"

	"github.com/whosaw/whosaw"
)

// maxActFilter is how long a filter is kept whole with the question, in bytes. Of longer ones, lists of thousands of
// addresses, the hash is kept: enough to tell whether a filter file is the one that was asked.
const maxActFilter = 4096

// Asked is the record of a question that somebody asks: operators are in the ledger too. The filter holds ids, as the ledger does
// anyway. Time, source and position are the caller's to set, or [Live.Write]'s.
func Asked(kind, who string, filter whosaw.Filter) whosaw.Record {
	text, err := json.Marshal(filter)
	if err != nil {
		panic("BUG: encode a filter that was read: " + err.Error())
	}
	if len(text) > maxActFilter {
		text = fmt.Appendf(nil, "a filter of %d bytes, SHA-256 %x", len(text), sha256.Sum256(text))
	}
	return whosaw.Record{Type: whosaw.TypeAct, Principal: who, Ref: &whosaw.Reference{Kind: kind, Note: string(text)}}
}
