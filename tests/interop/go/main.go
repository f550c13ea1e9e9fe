// How does a Go program publish to an inbox topic? With CloudEvents' own sender for Kafka, on IBM's sarama.
//
//	send HOST:PORT < letters.json
//
// A letter: {"topic", "mode": "structured"|"binary"|"base64", "key", "attributes": {...}, "data" | "bytes": base64}.
package main

import (
	"context"
	"encoding/json"
	"log"
	"os"

	"github.com/IBM/sarama"
	"github.com/cloudevents/sdk-go/protocol/kafka_sarama/v2"
	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/cloudevents/sdk-go/v2/types"
)

type letter struct {
	Topic      string          `json:"topic"`
	Mode       string          `json:"mode"`
	Key        *string         `json:"key"`
	Attributes map[string]any  `json:"attributes"`
	Data       json.RawMessage `json:"data"`
	Bytes      []byte          `json:"bytes"`
}

func main() {
	var letters []letter
	must(json.NewDecoder(os.Stdin).Decode(&letters))
	settings := sarama.NewConfig()
	settings.Version = sarama.V2_8_0_0
	settings.Producer.Return.Successes = true
	settings.Producer.RequiredAcks = sarama.WaitForAll
	for _, one := range letters {
		send(settings, one)
	}
}

func send(settings *sarama.Config, one letter) {
	sender, err := kafka_sarama.NewSender([]string{os.Args[1]}, settings, one.Topic)
	must(err)
	ctx := context.Background()
	if one.Mode == "binary" {
		ctx = binding.WithForceBinary(ctx)
	} else {
		ctx = binding.WithForceStructured(ctx)
	}
	if one.Key != nil {
		ctx = kafka_sarama.WithMessageKey(ctx, sarama.StringEncoder(*one.Key))
	}
	made := eventOf(one)
	must(sender.Send(ctx, binding.ToMessage(&made)))
	must(sender.Close(ctx))
}

func eventOf(one letter) event.Event {
	made := event.New()
	mediaType := ""
	for name, value := range one.Attributes {
		switch name {
		case "id":
			made.SetID(value.(string))
		case "source":
			made.SetSource(value.(string))
		case "type":
			made.SetType(value.(string))
		case "subject":
			made.SetSubject(value.(string))
		case "time":
			time, err := types.ParseTime(value.(string))
			must(err)
			made.SetTime(time)
		case "datacontenttype":
			mediaType = value.(string)
		default:
			if number, ok := value.(float64); ok {
				value = int32(number)
			}
			made.SetExtension(name, value)
		}
	}
	switch {
	case one.Bytes != nil: // bytes as they are: in structured mode they go as data_base64
		must(made.SetData(mediaType, one.Bytes))
	case one.Mode == "base64":
		must(made.SetData(mediaType, []byte(one.Data)))
	default:
		must(made.SetData(mediaType, one.Data))
	}
	return made
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
