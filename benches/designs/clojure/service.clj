;; A Kafka to Aerospike service as a Clojure programmer writes it with core.async: one thread polls, a bounded channel
;; carries the messages, N threads decode and write with the blocking Java client. By hand:
;;   scripts/designs/clojure.sh 127.0.0.1:9092 TOPIC GROUP 127.0.0.1:3000 single 32    (or: batch 4)
;;
;; The consumer commits by itself (enable.auto.commit, the default): every 5 s, `poll` commits the offsets of all that
;; earlier polls returned. A commit says "polled", not "written": what waits in the channel or in a worker at a kill -9
;; is never read again. SIGTERM loses nothing if the database answers: the channel is drained before the last commit.
;; Workers share one channel, so two messages of a key can be written in either order.
(ns service
  (:require [clojure.core.async :as async])
  (:import [com.aerospike.client AerospikeClient AerospikeException BatchRecord BatchWrite Bin Host Key Operation]
           [com.aerospike.client ResultCode]
           [com.aerospike.client.policy BatchPolicy ClientPolicy Policy WritePolicy]
           [com.fasterxml.jackson.databind ObjectMapper ObjectReader]
           [java.time Duration] [java.util ArrayList Collection Collections List Map]
           [org.apache.kafka.clients.consumer ConsumerRebalanceListener ConsumerRecord KafkaConsumer]
           [org.apache.kafka.common.errors WakeupException]
           [org.apache.kafka.common.serialization ByteArrayDeserializer]))

(set! *warn-on-reflection* true)
(def ^ObjectReader reader (.readerFor (ObjectMapper.) Map))

(defn log [& words] (binding [*out* *err*] (println (apply str words))))

;; ---- a message becomes a record, or nothing: it is filtered, or no event

(defn bins [^Map event]
  (let [^Map user (.get event "user"), amount (.get event "amount")]
    (cond-> [(Bin. "type" ^String (.get event "type")), (Bin. "ts" (long (.get event "ts")))
             (Bin. "user" ^String (.get user "id")), (Bin. "country" ^String (.get user "country"))]
      amount (conj (Bin. "amount" (double amount))))))

(defn decode [^ConsumerRecord message]
  (try
    (let [^Map event (.readValue reader ^bytes (.value message))]
      (when-not (= "heartbeat" (.get event "type"))
        {:key (Key. "test" "events" ^String (.get event "id")) :bins (bins event)}))
    (catch Exception error
      (log "skipped " (.topic message) "/" (.partition message) "@" (.offset message) ": " (class error)))))

;; ---- writing: again until it succeeds, unless the database says that it never will

(defn passes? [code]
  (or (neg? (int code)) (contains? #{ResultCode/TIMEOUT ResultCode/KEY_BUSY ResultCode/DEVICE_OVERLOAD} (int code))))

(defn write-single [^AerospikeClient client ^WritePolicy policy message]
  (when-let [{:keys [key bins]} (decode message)]
    (let [bins (into-array Bin bins)]
      (while (try (.put client policy ^Key key ^"[Lcom.aerospike.client.Bin;" bins) false
               (catch AerospikeException error (log "put: " (.getMessage error)) (passes? (.getResultCode error))))
        (Thread/sleep 100)))))

(defn batch-row [{:keys [key bins]}]
  (BatchWrite. ^Key key ^"[Lcom.aerospike.client.Operation;"
    (into-array Operation (map (fn [^Bin bin] (Operation/put bin)) bins))))

(defn write-batch [^AerospikeClient client ^BatchPolicy policy messages]
  (loop [rows (into [] (comp (keep decode) (map batch-row)) messages)]
    (when (seq rows)
      (try (.operate client policy ^List (ArrayList. ^Collection rows))
        (catch AerospikeException error (log "batch: " (.getMessage error))))
      (when-let [failed (seq (filterv (fn [^BatchRecord row] (passes? (.resultCode row))) rows))]
        (Thread/sleep 100)
        (recur (vec failed))))))

;; ---- the threads

(defn patient [^Policy policy] (set! (.-totalTimeout policy) (int 10000)) policy) ; instead of 1 s

(defn consumer ^KafkaConsumer [brokers group]
  (let [config {"bootstrap.servers" brokers, "group.id" group, "auto.offset.reset" "earliest"
                "max.poll.records" (int 5000), "fetch.min.bytes" (int 65536), "fetch.max.wait.ms" (int 100)}]
    (KafkaConsumer. ^Map config (ByteArrayDeserializer.) (ByteArrayDeserializer.))))

(defn -main [brokers topic group host form workers]
  (let [workers (parse-long workers), batch? (= form "batch")
        limits (doto (ClientPolicy.) (-> .-maxConnsPerNode (set! (int (max 100 workers)))))
        client (AerospikeClient. limits (Host/parseHosts host 3000))
        write (if batch?
                (partial write-batch client (patient (BatchPolicy.)))
                (partial write-single client (patient (WritePolicy.))))
        channel (async/chan (if batch? 16 10000))
        worker #(async/thread (loop [] (when-some [work (async/<!! channel)] (write work) (recur))))
        threads (vec (repeatedly workers worker))
        consumer (consumer brokers group)
        done (promise)]
    (.addShutdownHook (Runtime/getRuntime)
      (Thread. #(do (.wakeup consumer) (.halt (Runtime/getRuntime) (deref done 10000 1)))))
    (.subscribe consumer (Collections/singleton topic) (reify ConsumerRebalanceListener
                                                         (onPartitionsAssigned [_ _] (println "ready"))
                                                         (onPartitionsRevoked [_ _])))
    (try (while true
           (let [messages (.poll consumer (Duration/ofMillis 100))]
             (doseq [work (if batch? (partition-all 500 messages) messages)] (async/>!! channel work))))
      (catch WakeupException _))
    (async/close! channel)
    (run! async/<!! threads)
    (.close consumer) (.close client) (deliver done 0)))

(apply -main *command-line-args*)
