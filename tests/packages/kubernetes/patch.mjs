// Prints, as JSON, the pod of a file as the API server creates it in a namespace with that label:
//   patch.mjs POLICY POD [LABEL]
import { admit, documents } from './policy.mjs'

const [policyFile, podFile, inject] = process.argv.slice(2)
const [policy] = documents(policyFile)
const [pod] = documents(podFile)
const namespace = { metadata: { name: 'default', ...(inject && { labels: { 'spillway/inject': inject } }) } }
console.log(JSON.stringify(admit(policy, pod, namespace)))
