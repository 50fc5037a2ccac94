// What the component makes of each workload in a file: component.mjs BUILT POD, POD being the component's patch.
import { deepStrictEqual } from 'node:assert'
import { documents } from './policy.mjs'

const [init] = documents(process.argv[3])[0].spec.template.spec.initContainers
const built = documents(process.argv[2])
function test(name, body) {
  try {
    body()
    console.log(`ok ${name}`)
  } catch (error) {
    console.log(`not ok ${name}: ${error.message.replace(/\s+/g, ' ')}`)
  }
}

test('nothing but the workloads comes out', () =>
  deepStrictEqual(built.map(d => d.kind).sort(), ['DaemonSet', 'Deployment', 'Job', 'StatefulSet']))
for (const { kind, spec: { template: { spec } } } of built) {
  const [first, ...others] = spec.containers
  test(`${kind}: an init container fills the volume`, () => {
    deepStrictEqual(spec.initContainers.find(c => c.name === 'spillway'), init)
    deepStrictEqual(spec.volumes.filter(v => v.name === 'spillway').length, 1)
  })
  test(`${kind}: the first container has the library`, () => {
    deepStrictEqual(first.env.filter(e => e.name === 'LD_PRELOAD'),
      [{ name: 'LD_PRELOAD', value: '/spillway/lib/libspillway.so' }])
    deepStrictEqual(first.volumeMounts.filter(m => m.name === 'spillway'), [{ name: 'spillway', mountPath: '/spillway' }])
  })
  test(`${kind}: what was there stays`, () => {
    deepStrictEqual(others.every(c => c.env === undefined && c.volumeMounts === undefined), true)
    deepStrictEqual(kind !== 'Deployment' || first.env.some(e => e.name === 'A'), true)
    deepStrictEqual(kind !== 'StatefulSet' || first.volumeMounts.some(m => m.name === 'data'), true)
    deepStrictEqual(kind !== 'Job' || spec.initContainers.some(c => c.name === 'wait'), true)
  })
}
