// What every client writes and what it must read again: each record once, unchanged, in the order of its partition.
export const records = 1000
export const partitions = 3
export const half = 400 // where a consumer stops, for another one to go on
export const patience = 60000
const firstTime = 1_700_000_000_000

export const user = { username: 'alice', password: 'alice-secret' } // of suites/security.sh: may read and write the topic secure, and no other
export const secureValues = client => Array.from({ length: 10 }, (_, n) => `${client}-${n}`)

export const record = n => ({ key: `key-${n}`, value: `value-${n}`, header: String(n), time: firstTime + n })
export const numbers = () => Array.from({ length: records }, (_, n) => n)

export function check (ok, ...what) {
  if (!ok) throw new Error(what.map(w => (typeof w === 'string' ? w : JSON.stringify(w, (_, v) => (typeof v === 'bigint' ? String(v) : v)))).join(' '))
}

// Retries: a change of metadata may be acknowledged before every read shows it.
export async function eventually (test) {
  for (const end = Date.now() + patience; ;) {
    try {
      return await test()
    } catch (e) {
      if (Date.now() > end) throw e
      await new Promise(resolve => setTimeout(resolve, 20))
    }
  }
}

export async function refused (call, words) {
  const e = await call().then(() => null, e => e)
  const told = e && [e, e.cause, ...(e.errors ?? []), ...(e.cause?.errors ?? [])].map(String).join(' ')
  check(told && words.test(told), 'not refused as', String(words), 'but', String(told))
}

export class Seen {
  got = new Set()
  last = new Map()

  add (partition, offset, key, value, header, time) {
    const n = Number(key.slice(4))
    const want = record(n)
    check(key === want.key && value === want.value && header === want.header && time === want.time,
      `offset ${offset} of partition ${partition} is`, { key, value, header, time })
    check(!this.got.has(n), `${key} came twice, again as ${offset} of partition ${partition}`)
    const last = this.last.get(partition) ?? { offset: -1, n: -1 }
    check(offset > last.offset && n > last.n, `partition ${partition}: ${key} at ${offset} after`, last)
    this.got.add(n)
    this.last.set(partition, { offset, n })
  }

  all () {
    check(this.got.size === records, `${this.got.size} records of ${records}`)
  }
}

export async function run (parts) {
  const [boot, ...wanted] = process.argv.slice(2)
  for (const name of wanted) {
    await parts[name](boot)
    console.log('ok:', name)
  }
}
