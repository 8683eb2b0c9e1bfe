// kafkajs: node kafkajs.js BOOTSTRAP PART...
import { readFileSync } from 'node:fs'
import kafkajs from 'kafkajs'
import './codecs.js'
import { Seen, check, eventually, half, numbers, partitions, patience, record, records, refused, run, secureValues, user } from './seen.js'

const { Kafka, CompressionTypes, ConfigResourceTypes, logLevel } = kafkajs
const connect = boot => new Kafka({ clientId: 'interop-kafkajs', brokers: [boot], logLevel: logLevel.ERROR })
const messages = () => numbers().map(n => {
  const { key, value, header, time } = record(n)
  return { key, value, headers: { n: header }, timestamp: String(time) }
})

async function withAdmin (kafka, use) {
  const admin = kafka.admin()
  await admin.connect()
  await use(admin)
  await admin.disconnect()
}

const create = (kafka, topic) => withAdmin(kafka, admin => admin.createTopics({ topics: [{ topic, numPartitions: partitions }] }))

async function write (kafka, topic, compression) {
  const producer = kafka.producer()
  await producer.connect()
  await producer.send({ topic, compression, messages: messages() })
  await producer.disconnect()
}

// Reads until enough has been seen and commits that.
async function read (kafka, topic, groupId, seen, until) {
  const consumer = kafka.consumer({ groupId })
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  await new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`${topic}: ${seen.got.size} records of ${until}`)), patience)
    const enough = () => {
      clearTimeout(timer)
      resolve()
    }
    consumer.run({
      autoCommit: false,
      eachMessage: async ({ partition, message: m }) => {
        if (seen.got.size >= until) return
        try {
          seen.add(partition, Number(m.offset), m.key.toString(), m.value.toString(), m.headers.n.toString(), Number(m.timestamp))
          await consumer.commitOffsets([{ topic, partition, offset: String(Number(m.offset) + 1) }])
        } catch (e) {
          reject(e)
        }
        if (seen.got.size >= until) enough()
      }
    }).catch(reject)
  })
  await consumer.disconnect()
}

async function resume (kafka, topic, group) {
  const seen = new Seen()
  for (const until of [half, records]) await read(kafka, topic, group, seen, until)
  seen.all()
}

async function roundTrip (boot) {
  const kafka = connect(boot)
  for (const [name, codec] of Object.entries({ none: 'None', gzip: 'GZIP', snappy: 'Snappy', lz4: 'LZ4', zstd: 'ZSTD' })) {
    const topic = `kafkajs-${name}`
    await create(kafka, topic)
    await write(kafka, topic, CompressionTypes[codec])
    await resume(kafka, topic, `${topic}-group`)
  }
}

// One transaction is aborted, the next one committed, offsets included.
async function transactions (boot) {
  const kafka = connect(boot)
  const topic = 'kafkajs-txn'
  await create(kafka, topic)
  const producer = kafka.producer({ transactionalId: topic, maxInFlightRequests: 1, idempotent: true })
  await producer.connect()
  for (const commit of [false, true]) {
    const txn = await producer.transaction()
    await txn.send({ topic, messages: messages() })
    await txn.sendOffsets({ consumerGroupId: 'kafkajs-txn-other', topics: [{ topic, partitions: [{ partition: 0, offset: commit ? '11' : '7' }] }] })
    await (commit ? txn.commit() : txn.abort())
  }
  await producer.disconnect()
  await resume(kafka, topic, `${topic}-group`) // read_committed is the default
  await withAdmin(kafka, async admin => {
    const [{ partitions: [at] }] = await admin.fetchOffsets({ groupId: 'kafkajs-txn-other', topics: [topic] })
    check(at.offset === '11', 'committed', at)
  })
}

async function adminCalls (boot) {
  const kafka = connect(boot)
  const topic = 'kafkajs-admin'
  const group = `${topic}-group`
  await create(kafka, topic)
  await write(kafka, topic, CompressionTypes.None)
  await resume(kafka, topic, group)
  await withAdmin(kafka, async admin => {
    await admin.createPartitions({ topicPartitions: [{ topic, count: partitions + 1 }] })
    await eventually(async () => {
      const { topics: [t] } = await admin.fetchTopicMetadata({ topics: [topic] })
      check(t.partitions.length === partitions + 1, t)
    })
    check((await admin.listTopics()).includes(topic) && (await admin.describeCluster()).brokers.length === 1, 'cluster')
    const resource = { type: ConfigResourceTypes.TOPIC, name: topic }
    await admin.alterConfigs({ resources: [{ ...resource, configEntries: [{ name: 'retention.ms', value: '60000' }] }] })
    await eventually(async () => {
      const { resources: [{ configEntries: [c] }] } = await admin.describeConfigs({ resources: [{ ...resource, configNames: ['retention.ms'] }] })
      check(c.configValue === '60000', c)
    })
    const sum = offsets => offsets.reduce((total, o) => total + Number(o.offset), 0)
    check(sum(await admin.fetchTopicOffsets(topic)) === records, 'end offsets')
    const after = await admin.fetchTopicOffsetsByTimestamp(topic, record(records / 2).time)
    check(sum(after) === records / 2, 'offsets by time', after)
    const committed = async () => (await admin.fetchOffsets({ groupId: group, topics: [topic] }))[0].partitions.filter(p => p.offset !== '-1')
    check(sum(await committed()) === records, 'committed')
    check((await admin.listGroups()).groups.some(g => g.groupId === group), 'list groups')
    check((await admin.describeGroups([group])).groups[0].state === 'Empty', 'describe groups')
    await admin.setOffsets({ groupId: group, topic, partitions: [{ partition: 0, offset: '5' }] })
    check((await committed()).some(p => p.partition === 0 && p.offset === '5'), 'set offsets')
    await admin.deleteGroups([group])
    await admin.deleteTopics({ topics: [topic] })
    await eventually(async () => check(!(await admin.listTopics()).includes(topic), 'a deleted topic is listed'))
  })
}

async function deleteRecords (boot) {
  const kafka = connect(boot)
  const topic = 'kafkajs-purge'
  await create(kafka, topic)
  await write(kafka, topic, CompressionTypes.None)
  await withAdmin(kafka, async admin => {
    await admin.fetchTopicOffsets(topic) // deleteTopicRecords needs metadata and does not ask for it
    await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '10' }] })
    const low = (await admin.fetchTopicOffsets(topic)).find(p => p.partition === 0).low
    check(low === '10', 'low watermark', low)
  })
}

async function secure (boot) {
  const kafka = new Kafka({
    clientId: 'interop-kafkajs', brokers: [boot], logLevel: logLevel.NOTHING, ssl: { ca: readFileSync(process.env.INTEROP_CA) }, sasl: { mechanism: 'scram-sha-512', ...user }
  })
  const producer = kafka.producer({ retry: { retries: 0 } })
  await producer.connect()
  const values = secureValues('kafkajs')
  await producer.send({ topic: 'secure', messages: values.map(value => ({ value })) })
  await refused(() => producer.send({ topic: 'forbidden', messages: [{ value: 'no' }] }), /[Nn]ot authorized/)
  await producer.disconnect()
  const consumer = kafka.consumer({ groupId: 'secure-kafkajs' })
  await consumer.connect()
  await consumer.subscribe({ topic: 'secure', fromBeginning: true })
  const got = []
  await new Promise((resolve, reject) => {
    setTimeout(() => reject(new Error(`secure: ${got}`)), patience).unref()
    consumer.run({
      eachMessage: async ({ message }) => {
        if (message.value.toString().startsWith('kafkajs-')) got.push(message.value.toString())
        if (got.length === values.length) resolve()
      }
    }).catch(reject)
  })
  await consumer.disconnect()
  check(String(got) === String(values), got)
}

await run({ 'kafkajs-secure': secure, kafkajs: roundTrip, 'kafkajs-txn': transactions, 'kafkajs-admin': adminCalls, 'kafkajs-delete-records': deleteRecords })
