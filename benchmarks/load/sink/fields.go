package main

import "google.golang.org/protobuf/encoding/protowire"

// each visits the messages in a field, in order; it stops where the bytes make no sense.
func each(message []byte, wanted protowire.Number, visit func([]byte)) {
	for len(message) > 0 {
		number, kind, size := protowire.ConsumeTag(message)
		if size < 0 {
			return
		}
		message = message[size:]
		if number == wanted && kind == protowire.BytesType {
			value, size := protowire.ConsumeBytes(message)
			if size < 0 {
				return
			}
			visit(value)
			message = message[size:]
			continue
		}
		size = protowire.ConsumeFieldValue(number, kind, message)
		if size < 0 {
			return
		}
		message = message[size:]
	}
}
