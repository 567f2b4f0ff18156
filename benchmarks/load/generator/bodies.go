package main

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"os"
)

// Sequence numbers start here: all of them up to 2^28 take four bytes, so that one can be written over another.
const firstSequence = 1 << 21

// A body as it was prepared. What holds a snapshot says where its producer, its sequence number and its checksum are.
type template struct {
	body                                         []byte
	producer, sequence, payload, payloadEnd, crc int
	isSnapshot                                   bool
}

// Each body in the file: six little-endian numbers of 32 bits (its length; the offsets of producer, sequence number,
// payload, payload's end and checksum, all 0 where there is no snapshot), then the body.
func readTemplates(path string) ([]template, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var templates []template
	for {
		var header [6]uint32
		if err := binary.Read(file, binary.LittleEndian, &header); err == io.EOF {
			break
		} else if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		body := make([]byte, header[0])
		if _, err := io.ReadFull(file, body); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		templates = append(templates, template{
			body: body, producer: int(header[1]), sequence: int(header[2]), payload: int(header[3]),
			payloadEnd: int(header[4]), crc: int(header[5]), isSnapshot: header[5] != 0,
		})
	}
	if len(templates) == 0 {
		return nil, fmt.Errorf("%s: holds no bodies", path)
	}
	return templates, nil
}

// A load is the bodies in turns, each snapshot with a producer and a sequence number that nothing else has.
type load struct {
	templates []template
	producers uint64
	run       uint64
}

// request gives the n-th request: so many bodies one after the other, which is how OTLP requests are joined.
func (l *load) request(n, join uint64, scratch *[]byte) []byte {
	if join == 1 {
		return l.number(n, scratch)
	}
	var joined []byte
	for part := range join {
		joined = append(joined, l.number(n*join+part, scratch)...)
	}
	return joined
}

// number gives the n-th body; a snapshot is written into `scratch`, anything else is given as it is.
func (l *load) number(n uint64, scratch *[]byte) []byte {
	which := n % uint64(len(l.templates))
	t := &l.templates[which]
	if !t.isSnapshot {
		return t.body
	}
	round := n / uint64(len(l.templates))
	body := append((*scratch)[:0], t.body...)
	*scratch = body
	binary.LittleEndian.PutUint64(body[t.producer:], l.run)
	binary.LittleEndian.PutUint32(body[t.producer+8:], uint32(which))
	binary.LittleEndian.PutUint32(body[t.producer+12:], uint32(round%l.producers))
	putVarint(body[t.sequence:t.sequence+4], firstSequence+round/l.producers)
	// Five bytes for whatever checksum: a varint may have zeros in front.
	putVarint(body[t.crc:t.crc+5], uint64(crc32.ChecksumIEEE(body[t.payload:t.payloadEnd])))
	return body
}

func putVarint(into []byte, value uint64) {
	for index := range into {
		into[index] = byte(value&0x7f) | 0x80
		value >>= 7
	}
	into[len(into)-1] &= 0x7f
}
