// kafkajs: every compression, keys, a group. node roundtrip.js BOOTSTRAP
import kafkajs from 'kafkajs'
import './codecs.js'

const { Kafka, CompressionTypes, logLevel } = kafkajs
const kafka = new Kafka({ clientId: 'interop', brokers: [process.argv[2]], logLevel: logLevel.ERROR })
const expected = new Map(Array.from({ length: 1000 }, (_, i) => [`key-${i}`, `value-${i}`]))

async function roundTrip(topic, compression) {
  const admin = kafka.admin()
  await admin.connect()
  await admin.createTopics({ topics: [{ topic, numPartitions: 3 }] })
  const producer = kafka.producer()
  await producer.connect()
  const messages = [...expected].map(([key, value]) => ({ key, value, headers: { n: value } }))
  await producer.send({ topic, compression, messages })
  await producer.disconnect()

  const consumer = kafka.consumer({ groupId: `${topic}-group` })
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  const got = new Map()
  await new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`${topic}: ${got.size} records after 30 s`)), 30000)
    consumer.run({
      eachMessage: async ({ message }) => {
        got.set(message.key.toString(), message.value.toString())
        if (message.headers.n.toString() !== message.value.toString()) reject(new Error('header lost'))
        if (got.size === expected.size) {
          clearTimeout(timer)
          resolve()
        }
      }
    }).catch(reject)
  })
  await consumer.disconnect()
  for (const [key, value] of expected) if (got.get(key) !== value) throw new Error(`${topic}: ${key} is ${got.get(key)}`)
  await admin.disconnect()
}

for (const name of ['None', 'GZIP', 'Snappy', 'LZ4', 'ZSTD']) await roundTrip(`kafkajs-${name}`, CompressionTypes[name])
console.log('kafkajs ok')
