// Pods, and what the policy makes of them.  Prints a line for each: "ok NAME", or "not ok NAME: WHY".
import { deepStrictEqual } from 'node:assert'
import { admit, checkTypes, documents, isBound } from './policy.mjs'

const [policy, binding] = documents(process.argv[2])
const library = '/spillway/usr/local/lib/libspillway.so'
const program = '/spillway/usr/local/bin/spillway'
const image = policy.spec.variables.find(v => v.name === 'image').expression.replaceAll("'", '')
const volume = { name: 'spillway', image: { reference: image, pullPolicy: 'IfNotPresent' } }
const mount = { name: 'spillway', mountPath: '/spillway' }
const preload = { name: 'LD_PRELOAD', value: library }

const namespaceOf = inject => ({ metadata: { name: 'shop', labels: { 'kubernetes.io/metadata.name': 'shop',
  ...(inject && { 'spillway/inject': inject }) } } })
const podOf = (annotations, spec) => ({ apiVersion: 'v1', kind: 'Pod',
  metadata: { generateName: 'web-', namespace: 'shop', ...(annotations && { annotations }) },
  spec: { ...spec, containers: spec?.containers ?? [{ name: 'web', image: 'web:1' }] } })

function test(name, body) {
  try {
    body()
    console.log(`ok ${name}`)
  } catch (error) {
    console.log(`not ok ${name}: ${error.message.replace(/\s+/g, ' ')}`)
  }
}
// The pod that comes of it, and again: a pod that was changed is not changed again.
function admitted(pod, inject) {
  const once = admit(policy, pod, namespaceOf(inject))
  deepStrictEqual(admit(policy, structuredClone(once), namespaceOf(inject)), once, 'changed once more')
  return once
}
function is(name, pod, inject, wanted) {
  test(name, () => deepStrictEqual(admitted(pod, inject), wanted))
}
const same = (name, pod, inject) => is(name, pod, inject, structuredClone(pod))
const containers = (pod, inject) => admitted(pod, inject).spec.containers

test('every literal has members of one type', () => deepStrictEqual(checkTypes(policy), []))
test('whatever goes wrong, the pod is created', () => deepStrictEqual(policy.spec.failurePolicy, 'Ignore'))
test('the binding is for this policy', () => deepStrictEqual(binding.spec.policyName, policy.metadata.name))
test('a namespace of users is bound', () => deepStrictEqual(isBound(binding, namespaceOf('library')), true))
for (const name of ['kube-system', 'kube-public', 'kube-node-lease'])
  test(`${name} is not`, () => deepStrictEqual(isBound(binding, {
    metadata: { labels: { 'kubernetes.io/metadata.name': name } } }), false))

// Who is asked.
const changed = annotations => ({ ...podOf({ ...annotations, 'spillway/injected': 'web' }),
  spec: { containers: [{ name: 'web', image: 'web:1', volumeMounts: [mount], env: [preload] }], volumes: [volume] } })
is('a label on the namespace', podOf(), 'library', changed())
is('an annotation of the pod', podOf({ 'spillway/inject': 'library' }), undefined, changed({ 'spillway/inject': 'library' }))
same('neither', podOf())
test('a namespace without labels', () => deepStrictEqual(admit(policy, podOf(), { metadata: { name: 'shop' } }), podOf()))
same('the pod opts out', podOf({ 'spillway/inject': 'none' }), 'library')
same('a namespace says none', podOf(), 'none')
test('a value that is none is said', () => deepStrictEqual(admitted(podOf(), 'yes').metadata.annotations,
  { 'spillway/skipped': 'spillway/inject is yes, expected library, supervisor or none' }))
same('Windows, by os', podOf(null, { os: { name: 'windows' } }), 'library')
same('Windows, by nodeSelector', podOf(null, { nodeSelector: { 'kubernetes.io/os': 'windows' } }), 'library')
test('Linux, by both', () => deepStrictEqual(containers(podOf(null, { os: { name: 'linux' },
  nodeSelector: { 'kubernetes.io/os': 'linux', 'kubernetes.io/arch': 'arm64' } }), 'library')[0].env, [preload]))
same('the mirror of a static pod', podOf({ 'kubernetes.io/config.mirror': 'x' }), 'library')

// What is kept.
const full = { name: 'web', image: 'web:1', args: ['--port', '80'], env: [{ name: 'A', value: 'b' },
  { name: 'POD', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } }],
volumeMounts: [{ name: 'data', mountPath: '/data', readOnly: true }],
securityContext: { runAsNonRoot: true, readOnlyRootFilesystem: true, capabilities: { drop: ['ALL'] } } }
test('everything else of the pod stays', () => deepStrictEqual(admitted(podOf({ a: 'b' },
  { containers: [full], volumes: [{ name: 'data', secret: { secretName: 's', defaultMode: 420 } }] }), 'library'), {
  apiVersion: 'v1', kind: 'Pod', metadata: { generateName: 'web-', namespace: 'shop',
    annotations: { a: 'b', 'spillway/injected': 'web' } },
  spec: { volumes: [{ name: 'data', secret: { secretName: 's', defaultMode: 420 } }, volume],
    containers: [{ ...full, env: [preload, ...full.env], volumeMounts: [...full.volumeMounts, mount] }] } }))
test('LD_PRELOAD has ours in front, in its place', () => deepStrictEqual(containers(podOf(null, { containers: [
  { name: 'web', env: [{ name: 'A', value: '1' }, { name: 'LD_PRELOAD', value: '$(A).so' }, { name: 'B', value: '2' }] }] }),
'library')[0].env, [{ name: 'A', value: '1' }, { name: 'LD_PRELOAD', value: `${library}:$(A).so` }, { name: 'B', value: '2' }]))
test('an empty LD_PRELOAD', () => deepStrictEqual(containers(podOf(null, { containers: [
  { name: 'web', env: [{ name: 'LD_PRELOAD' }] }] }), 'library')[0].env, [preload]))
test('LD_PRELOAD by valueFrom: that container is left alone, which is said', () => {
  const web = { name: 'web', env: [{ name: 'LD_PRELOAD', valueFrom: { configMapKeyRef: { name: 'c', key: 'k' } } }] }
  const pod = admitted(podOf(null, { containers: [web, { name: 'log' }] }), 'library')
  deepStrictEqual(pod.spec.containers[0], web)
  deepStrictEqual(pod.spec.containers[1].env, [preload])
  deepStrictEqual(pod.metadata.annotations, { 'spillway/injected': 'log', 'spillway/skipped': 'web: LD_PRELOAD has valueFrom' })
})
test('and so is one with something else at /spillway', () => {
  const web = { name: 'web', volumeMounts: [{ name: 'data', mountPath: '/spillway' }] }
  const pod = admitted(podOf(null, { containers: [web], volumes: [{ name: 'data', emptyDir: {} }] }), 'library')
  deepStrictEqual(pod.spec, { containers: [web], volumes: [{ name: 'data', emptyDir: {} }] })
  deepStrictEqual(pod.metadata.annotations, { 'spillway/skipped': 'web: /spillway is mounted' })
})
test('and a pod with a volume of that name', () => {
  const pod = admitted(podOf(null, { volumes: [{ name: 'spillway', emptyDir: {} }] }), 'library')
  deepStrictEqual(pod.spec.containers, [{ name: 'web', image: 'web:1' }])
  deepStrictEqual(pod.metadata.annotations, { 'spillway/skipped': 'the pod has another volume named spillway' })
})
test('the volume may be there already', () => deepStrictEqual(admitted(podOf(null, { volumes: [volume] }), 'library').spec,
  { containers: [{ name: 'web', image: 'web:1', volumeMounts: [mount], env: [preload] }], volumes: [volume] }))
test('containers may be left out by name', () => deepStrictEqual(containers(podOf({ 'spillway/skip-containers': 'proxy,log' },
  { containers: [{ name: 'proxy' }, { name: 'web' }, { name: 'log' }] }), 'library').map(c => c.env),
[undefined, [preload], undefined]))
test('init containers are left alone, sidecars are not, nor ephemeral ones touched', () => {
  const pod = admitted(podOf(null, { initContainers: [{ name: 'migrate' }, { name: 'proxy', restartPolicy: 'Always' }],
    ephemeralContainers: [{ name: 'debug' }] }), 'library')
  deepStrictEqual(pod.spec.initContainers, [{ name: 'migrate' },
    { name: 'proxy', restartPolicy: 'Always', volumeMounts: [mount], env: [preload] }])
  deepStrictEqual(pod.spec.ephemeralContainers, [{ name: 'debug' }])
  deepStrictEqual(pod.metadata.annotations, { 'spillway/injected': 'web,proxy' })
})

// Settings.
test('settings come from annotations, and from no other', () => deepStrictEqual(containers(podOf({
  'spillway/limit': '80%', 'spillway/scavenge-cpu': '2%', 'spillway/trace': '/etc/passwd', 'spillway/path': '/x' }),
'library')[0].env, [{ name: 'SPILLWAY_LIMIT', value: '80%' }, { name: 'SPILLWAY_SCAVENGE_CPU', value: '2%' }, preload]))
test("a container's own setting goes first", () => deepStrictEqual(containers(podOf({ 'spillway/limit': '80%' },
  { containers: [{ name: 'web', env: [{ name: 'SPILLWAY_LIMIT', value: 'off' }] }] }), 'library')[0].env,
[preload, { name: 'SPILLWAY_LIMIT', value: 'off' }]))

// The supervisor.
test('a command gets the supervisor in front, which preloads by itself', () => deepStrictEqual(containers(podOf(null,
  { containers: [{ name: 'web', command: ['/bin/web', '-x'], args: ['$(PORT)'] }] }), 'supervisor'),
[{ name: 'web', command: [program, '--', '/bin/web', '-x'], args: ['$(PORT)'], volumeMounts: [mount] }]))
test('where none is stated it is the library alone', () => deepStrictEqual(containers(podOf(null,
  { containers: [{ name: 'web', args: ['-x'] }] }), 'supervisor'),
[{ name: 'web', args: ['-x'], volumeMounts: [mount], env: [preload] }]))
test('LD_PRELOAD is left to the supervisor', () => {
  const env = [{ name: 'LD_PRELOAD', valueFrom: { configMapKeyRef: { name: 'c', key: 'k' } } }]
  deepStrictEqual(containers(podOf(null, { containers: [{ name: 'web', command: ['w'], env }] }), 'supervisor'),
    [{ name: 'web', command: [program, '--', 'w'], env, volumeMounts: [mount] }])
})
test('settings are there, too', () => deepStrictEqual(containers(podOf({ 'spillway/limit': '80%' },
  { containers: [{ name: 'web', command: ['w'] }] }), 'supervisor')[0].env, [{ name: 'SPILLWAY_LIMIT', value: '80%' }]))
