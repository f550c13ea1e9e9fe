// How does a Java program publish to an inbox topic? With CloudEvents' own serializer in Apache Kafka's own producer.
//
//     java -cp 'jars/*' Send.java HOST:PORT < letters.json
//
// A letter: {"topic", "mode": "structured"|"binary"|"base64", "key", "attributes": {...}, "data" | "bytes": base64}.

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.cloudevents.CloudEvent;
import io.cloudevents.core.builder.CloudEventBuilder;
import io.cloudevents.core.message.Encoding;
import io.cloudevents.jackson.JsonCloudEventData;
import io.cloudevents.jackson.JsonFormat;
import io.cloudevents.kafka.CloudEventSerializer;
import java.io.IOException;
import java.net.URI;
import java.time.OffsetDateTime;
import java.util.HashMap;
import java.util.Map;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.StringSerializer;

public final class Send {
    public static void main(String[] arguments) throws Exception {
        Map<String, KafkaProducer<String, CloudEvent>> producers = new HashMap<>();
        for (JsonNode letter : new ObjectMapper().readTree(System.in)) {
            String mode = letter.get("mode").asText();
            producers
                .computeIfAbsent(mode, name -> producer(arguments[0], name))
                .send(new ProducerRecord<>(letter.get("topic").asText(), letter.get("key").textValue(), event(letter)))
                .get();
        }
        producers.values().forEach(KafkaProducer::close);
    }

    private static KafkaProducer<String, CloudEvent> producer(String servers, String mode) {
        Map<String, Object> settings = new HashMap<>();
        settings.put("bootstrap.servers", servers);
        settings.put("key.serializer", StringSerializer.class);
        settings.put("value.serializer", CloudEventSerializer.class);
        settings.put(CloudEventSerializer.ENCODING_CONFIG, mode.equals("binary") ? Encoding.BINARY : Encoding.STRUCTURED);
        if (mode.equals("structured")) {
            settings.put(CloudEventSerializer.EVENT_FORMAT_CONFIG, JsonFormat.CONTENT_TYPE);
        } else if (mode.equals("base64")) {
            settings.put(CloudEventSerializer.EVENT_FORMAT_CONFIG, new JsonFormat(true, false));
        }
        return new KafkaProducer<>(settings);
    }

    private static CloudEvent event(JsonNode letter) throws IOException {
        CloudEventBuilder event = CloudEventBuilder.v1();
        letter.get("attributes").fields().forEachRemaining(each -> set(event, each.getKey(), each.getValue()));
        if (letter.has("bytes")) {
            event.withData(letter.get("bytes").binaryValue());
        } else {
            event.withData(JsonCloudEventData.wrap(letter.get("data")));
        }
        return event.build();
    }

    private static void set(CloudEventBuilder event, String name, JsonNode value) {
        switch (name) {
            case "id" -> event.withId(value.asText());
            case "source" -> event.withSource(URI.create(value.asText()));
            case "type" -> event.withType(value.asText());
            case "subject" -> event.withSubject(value.asText());
            case "time" -> event.withTime(OffsetDateTime.parse(value.asText()));
            case "datacontenttype" -> event.withDataContentType(value.asText());
            default -> {
                if (value.isBoolean()) {
                    event.withExtension(name, value.booleanValue());
                } else if (value.isNumber()) {
                    event.withExtension(name, value.intValue());
                } else {
                    event.withExtension(name, value.asText());
                }
            }
        }
    }
}
