// How does a JavaScript program publish to an inbox topic? With the CloudEvents SDK and kafkajs.
//
//     node send.mjs HOST:PORT < letters.json
//
// A letter: {"topic", "mode": "structured"|"binary"|"base64", "key", "attributes": {...}, "data" | "bytes": base64}.

import { text } from "node:stream/consumers";
import { CloudEvent, Kafka as Binding } from "cloudevents";
import kafkajs from "kafkajs";

const kafka = new kafkajs.Kafka({ brokers: [process.argv[2]], logLevel: kafkajs.logLevel.NOTHING });
const producer = kafka.producer({ createPartitioner: kafkajs.Partitioners.DefaultPartitioner });
await producer.connect();
for (const letter of JSON.parse(await text(process.stdin))) {
  const { headers, value } = message(letter);
  const messages = [{ key: letter.key, headers: texts(headers), value }];
  await producer.send({ topic: letter.topic, acks: -1, messages });
}
await producer.disconnect();

// The SDK names attributes that are not set, too, and kafkajs takes nothing but text.
function texts(headers) {
  const set = Object.entries(headers).filter(([, value]) => value !== undefined);
  return Object.fromEntries(set.map(([name, value]) => [name, String(value)]));
}

function message({ mode, attributes, data, bytes }) {
  if (mode === "binary") {
    // The SDK puts data into the message as it is, so that a program sends text or bytes.
    const sent = bytes === undefined ? JSON.stringify(data) : Buffer.from(bytes, "base64");
    return Binding.binary(new CloudEvent({ ...attributes, data: sent }));
  }
  const raw = bytes === undefined ? Buffer.from(JSON.stringify(data)) : Buffer.from(bytes, "base64");
  const sent = mode === "base64" || bytes !== undefined ? new Uint8Array(raw) : data;
  return Binding.structured(new CloudEvent({ ...attributes, data: sent }));
}
