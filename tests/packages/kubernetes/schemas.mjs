// Validates manifests by the API's own schemas: FILE..., each with any number of documents.  Prints a line for each
// document: "ok NAME", or "not ok NAME: WHY".
import { documents } from './policy.mjs'

async function model({ apiVersion, kind }) {
  const from = apiVersion.startsWith('monitoring.coreos.com/') ? '@kubernetes-models/prometheus-operator' : 'kubernetes-models'
  return (await import(`${from}/${apiVersion}`))[kind]
}

for (const file of process.argv.slice(2))
  for (const document of documents(file)) {
    const name = `${file.split('/').pop()}: ${document.kind} ${document.metadata?.name}`
    try {
      const Model = await model(document)
      new Model(document).validate()
      console.log(`ok ${name}`)
    } catch (error) {
      console.log(`not ok ${name}: ${error.message.replace(/\s+/g, ' ')}`)
    }
  }
