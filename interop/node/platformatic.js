// @platformatic/kafka: node platformatic.js BOOTSTRAP PART...
import { readFileSync } from 'node:fs'
import { Admin, Consumer, MessagesStreamFallbackModes, MessagesStreamModes, Producer, stringDeserializers, stringSerializers } from '@platformatic/kafka'
import { Seen, check, eventually, half, numbers, partitions, patience, record, records, refused, run, secureValues, user } from './seen.js'

const TOPIC = 2 // the config resource
const conf = boot => ({ clientId: 'interop-platformatic', bootstrapBrokers: [boot] })
const messages = topic => numbers().map(n => {
  const { key, value, header, time } = record(n)
  return { topic, key, value, headers: { n: header }, timestamp: BigInt(time) }
})

async function create (boot, topic) {
  const admin = new Admin(conf(boot))
  await admin.createTopics({ topics: [topic], partitions, replicas: 1 })
  await admin.close()
}

async function write (boot, topic, options = {}) {
  const producer = new Producer({ ...conf(boot), serializers: stringSerializers, ...options })
  await producer.send({ messages: messages(topic), acks: -1 })
  await producer.close()
}

// Reads until enough has been seen and commits that.
async function read (boot, topic, groupId, seen, until, options = {}) {
  const consumer = new Consumer({ ...conf(boot), groupId, deserializers: stringDeserializers, maxWaitTime: 500, ...options })
  const stream = await consumer.consume({
    topics: [topic], autocommit: false, mode: MessagesStreamModes.COMMITTED, fallbackMode: MessagesStreamFallbackModes.EARLIEST
  })
  const timer = setTimeout(() => stream.destroy(new Error(`${topic}: ${seen.got.size} records of ${until}`)), patience)
  const at = new Map()
  for await (const m of stream) {
    seen.add(m.partition, Number(m.offset), m.key, m.value, m.headers.get('n'), Number(m.timestamp))
    at.set(m.partition, m.offset + 1n)
    if (seen.got.size >= until) break
  }
  clearTimeout(timer)
  await consumer.commit({ offsets: [...at].map(([partition, offset]) => ({ topic, partition, offset, leaderEpoch: -1 })) })
  await consumer.close(true)
}

async function resume (boot, topic, group, options) {
  const seen = new Seen()
  for (const until of [half, records]) await read(boot, topic, group, seen, until, options)
  seen.all()
}

// Its zstd needs Node 22.
async function roundTrip (boot) {
  for (const compression of ['none', 'gzip', 'snappy', 'lz4']) {
    const topic = `platformatic-${compression}`
    await create(boot, topic)
    await write(boot, topic, { compression, idempotent: compression === 'none' })
    await resume(boot, topic, `${topic}-group`)
  }
}

async function nextProtocol (boot) {
  await create(boot, 'platformatic-next')
  await write(boot, 'platformatic-next')
  await resume(boot, 'platformatic-next', 'platformatic-next-group', { groupProtocol: 'consumer' })
}

// It does not skip what was aborted: franz-go checks the topic.
async function transactions (boot) {
  const topic = 'platformatic-txn'
  await create(boot, topic)
  const producer = new Producer({ ...conf(boot), serializers: stringSerializers, idempotent: true, transactionalId: topic })
  for (const commit of [false, true]) {
    const txn = await producer.beginTransaction()
    await txn.send({ messages: messages(topic) })
    await (commit ? txn.commit() : txn.abort())
  }
  await producer.close()
}

async function adminCalls (boot) {
  const topic = 'platformatic-admin'
  const group = `${topic}-group`
  await create(boot, topic)
  await write(boot, topic)
  await resume(boot, topic, group)
  const admin = new Admin(conf(boot))
  await admin.createPartitions({ topics: [{ name: topic, count: partitions + 1 }] })
  check((await admin.listTopics()).includes(topic), 'list topics')
  await admin.incrementalAlterConfigs({
    resources: [{ resourceType: TOPIC, resourceName: topic, configs: [{ name: 'retention.ms', configOperation: 0, value: '60000' }] }]
  })
  await eventually(async () => {
    const [{ configs: [c] }] = await admin.describeConfigs({ resources: [{ resourceType: TOPIC, resourceName: topic, configurationKeys: ['retention.ms'] }] })
    check(c.value === '60000', c)
  })
  check((await admin.listGroups()).has(group), 'list groups')
  check((await admin.describeGroups({ groups: [group] })).get(group).state.toUpperCase() === 'EMPTY', 'describe groups')
  const [{ topics: [{ partitions: committed }] }] = await admin.listConsumerGroupOffsets({ groups: [group] })
  check(committed.reduce((sum, p) => sum + Number(p.committedOffset), 0) === records, 'committed', committed)
  await admin.deleteGroups({ groups: [group] })
  await admin.deleteTopics({ topics: [topic] })
  await admin.close()
}

async function secure (boot) {
  const conf = {
    clientId: 'interop-platformatic', bootstrapBrokers: [boot], tls: { ca: readFileSync(process.env.INTEROP_CA) }, sasl: { mechanism: 'SCRAM-SHA-256', ...user }, retries: 0
  }
  const values = secureValues('platformatic')
  const producer = new Producer({ ...conf, serializers: stringSerializers })
  for (const value of values) await producer.send({ messages: [{ topic: 'secure', value }], acks: -1 })
  await refused(() => producer.send({ messages: [{ topic: 'forbidden', value: 'no' }], acks: -1 }), /authorization failed/)
  await producer.close(true)
  const consumer = new Consumer({ ...conf, groupId: 'secure-platformatic', deserializers: stringDeserializers, maxWaitTime: 500 })
  const stream = await consumer.consume({ topics: ['secure'], mode: MessagesStreamModes.EARLIEST })
  const timer = setTimeout(() => stream.destroy(new Error(`secure: ${got}`)), patience)
  const got = []
  for await (const m of stream) {
    if (m.value.startsWith('platformatic-')) got.push(m.value)
    if (got.length === values.length) break
  }
  clearTimeout(timer)
  await consumer.close(true)
  check(String(got) === String(values), got)
}

await run({ 'platformatic-secure': secure, platformatic: roundTrip, 'platformatic-next': nextProtocol, 'platformatic-txn': transactions, 'platformatic-admin': adminCalls })
