// The chart: its values against their schema, and its templates, which are so simple that a few lines render them.
//   chart.mjs CHART FOLDER: writes what comes out, of the values as they are and of all that there is, into FOLDER
import { deepStrictEqual } from 'node:assert'
import { readFileSync, readdirSync, writeFileSync } from 'node:fs'
import Ajv from 'ajv'
import { documents } from './policy.mjs'

const [chart, folder] = process.argv.slice(2)
const text = name => readFileSync(`${chart}/${name}`, 'utf8')
const [values] = documents(`${chart}/values.yaml`)
const isValid = new Ajv.default({ strict: true }).compile(JSON.parse(text('values.schema.json')))
function test(name, body) {
  try {
    body()
    console.log(`ok ${name}`)
  } catch (error) {
    console.log(`not ok ${name}: ${error.message.replace(/\s+/g, ' ').slice(0, 300)}`)
  }
}

const functions = { replace: (from, to, text) => text.replaceAll(from, to), toJson: value => JSON.stringify(value),
  printf: (format, ...rest) => format.replace(/%s/g, () => rest.shift()), '.Files.Get': text }

// A pipeline of words: strings, values, functions, and pipelines in brackets.
function evaluate(words, values) {
  let result
  do {
    const items = []
    while (words.length > 0 && words[0] !== ')' && words[0] !== '|') {
      const word = words.shift()
      if (word === '(') {
        items.push(evaluate(words, values))
        words.shift()
      } else if (word.startsWith('"')) items.push(JSON.parse(word))
      else if (word.startsWith('.Values.')) items.push(word.split('.').slice(2).reduce((v, key) => v[key], values))
      else if (functions[word]) items.push(functions[word])
      else throw new Error(`${word} is not known here`)
    }
    const [first, ...rest] = items
    if (result !== undefined) rest.push(result)
    result = typeof first === 'function' ? first(...rest) : first
  } while (words.shift() === '|' )
  return result
}
function render(template, values) {
  const condition = /^\{\{ if (\S+) \}\}\n([^]*)\{\{ end \}\}\n$/.exec(template)
  if (condition) return evaluate([condition[1]], values) ? render(condition[2], values) : ''
  return template.replace(/\{\{ (.*?) \}\}/g, (_, words) => evaluate(words.match(/"(\\.|[^"])*"|[()|]|[^\s()|]+/g), values))
}
function renderAll(values) {
  return readdirSync(`${chart}/templates`).map(name => render(text(`templates/${name}`), values))
    .filter(out => out !== '').join('\n---\n')
}

test('the values are as their schema has them', () => deepStrictEqual([isValid(values), isValid.errors], [true, null]))
for (const wrong of [{ image: "x'+'y" }, { image: '' }, { imagee: 'x' }, { monitoring: true }])
  test(`${JSON.stringify(wrong)} is refused`, () => deepStrictEqual(isValid({ ...values, ...wrong }), false))
const all = { image: 'example.org/a/spillway:1@sha256:00', monitoring: { enabled: true, labels: { release: 'p' }, dashboard: true } }
test('as it is it is the plain manifest', () => {
  writeFileSync(`${folder}/plain.yaml`, renderAll(values))
  deepStrictEqual(documents(`${folder}/plain.yaml`), documents(`${chart}/files/policy.yaml`))
})
test('with all that there is', () => {
  deepStrictEqual(isValid(all), true)
  writeFileSync(`${folder}/whole.yaml`, renderAll(all))
  const made = documents(`${folder}/whole.yaml`)
  deepStrictEqual(made.map(d => d.kind).sort(), ['ConfigMap', 'MutatingAdmissionPolicy', 'MutatingAdmissionPolicyBinding',
    'PodMonitor', 'PrometheusRule'])
  const of = kind => made.find(d => d.kind === kind)
  deepStrictEqual(of('MutatingAdmissionPolicy').spec.variables.find(v => v.name === 'image').expression, `'${all.image}'`)
  deepStrictEqual(of('PodMonitor').metadata.labels, all.monitoring.labels)
  deepStrictEqual(of('PrometheusRule').metadata.labels, all.monitoring.labels)
  deepStrictEqual(of('PrometheusRule').spec, documents(`${chart}/files/rules.yaml`)[0].spec)
  deepStrictEqual(JSON.parse(of('ConfigMap').data['spillway.json']), JSON.parse(text('files/dashboard.json')))
})
