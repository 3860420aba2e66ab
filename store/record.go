package store

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/crc32"

	"whybot/commands"
)

// maxRecord bounds one record. Real ones are a few kilobytes.
const maxRecord = 16 << 20

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// seal encodes v as JSON behind a checksum, which bbolt's leaves do not have.
func seal(v any) ([]byte, error) {
	body, err := json.Marshal(v)
	if err != nil {
		return nil, misuse("encode %T: %w", v, err)
	}
	if len(body) > maxRecord {
		return nil, misuse("a %T of %d bytes is over the limit of %d", v, len(body), maxRecord)
	}
	sealed := binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(body)), crc32.Checksum(body, castagnoli))
	return append(sealed, body...), nil
}

// unseal decodes what seal made into v. What names the record in an error.
func unseal(sealed []byte, v any, what string) error {
	if len(sealed) < 4 || binary.BigEndian.Uint32(sealed) != crc32.Checksum(sealed[4:], castagnoli) {
		return damagef("the checksum of %s does not match", what)
	}
	if err := json.Unmarshal(sealed[4:], v); err != nil {
		return fmt.Errorf("%w: %s is not readable: %w", errDamaged, what, err)
	}
	return nil
}

// encodeEvent returns e with its Hash set, and the record of it: the hash, then
// the JSON of e without it.
func encodeEvent(e commands.Event) (commands.Event, []byte, error) {
	e.Hash = ""
	body, err := json.Marshal(e)
	if err != nil {
		return e, nil, misuse("encode event: %w", err)
	}
	if len(body) > maxRecord {
		return e, nil, misuse("an event of %d bytes is over the limit of %d", len(body), maxRecord)
	}
	sum := eventHash(e.Prev, body)
	e.Hash = hex.EncodeToString(sum[:])
	return e, append(sum[:], body...), nil
}

// eventHash is computed over the stored bytes rather than over the event as it
// is read, so that a field added to commands.Event leaves old hashes valid.
func eventHash(prev string, body []byte) [sha256.Size]byte {
	return sha256.Sum256(append([]byte(prev), body...))
}

// decodeEvent reads the record under number seq and checks that it is the one
// that was written there.
func decodeEvent(seq uint64, record []byte) (commands.Event, error) {
	if len(record) < sha256.Size {
		return commands.Event{}, damagef("event %d is cut short", seq)
	}
	sum, body := record[:sha256.Size], record[sha256.Size:]
	var e commands.Event
	if err := json.Unmarshal(body, &e); err != nil {
		return commands.Event{}, fmt.Errorf("%w: event %d is not readable: %w", errDamaged, seq, err)
	}
	if eventHash(e.Prev, body) != [sha256.Size]byte(sum) {
		return commands.Event{}, damagef("event %d was changed after it was recorded: its hash does not match", seq)
	}
	if e.Seq != seq {
		return commands.Event{}, damagef("event %d lies in the place of event %d", e.Seq, seq)
	}
	e.Hash = hex.EncodeToString(sum)
	return e, nil
}

// number is how numbers are keys; numbered is the way back.
func number(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

func numbered(key []byte) uint64 { return binary.BigEndian.Uint64(key) }
