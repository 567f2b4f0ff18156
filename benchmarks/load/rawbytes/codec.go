// Package rawbytes lets gRPC carry encoded messages as they are: whoever measures a server has no time to encode them.
package rawbytes

import (
	"fmt"

	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
)

// Codec passes *[]byte through, under the name of the codec that everybody expects.
type Codec struct{}

var _ encoding.CodecV2 = Codec{}

// Marshal gives the bytes themselves.
func (Codec) Marshal(message any) (mem.BufferSlice, error) {
	body, ok := message.(*[]byte)
	if !ok {
		return nil, fmt.Errorf("%T is no *[]byte", message)
	}
	return mem.BufferSlice{mem.SliceBuffer(*body)}, nil
}

// Unmarshal gives a copy of the bytes.
func (Codec) Unmarshal(data mem.BufferSlice, message any) error {
	body, ok := message.(*[]byte)
	if !ok {
		return fmt.Errorf("%T is no *[]byte", message)
	}
	*body = data.Materialize()
	return nil
}

// Name is that of protobuf, for that is what the bytes are.
func (Codec) Name() string { return "proto" }
