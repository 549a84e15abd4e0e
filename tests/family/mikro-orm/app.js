// A todo list on MikroORM and Express. @bemi-db/mikro-orm is not in the registry: what it does is
// done here, which is a comment behind each statement that writes, on its way through knex.
//
// It prints the port that it listens on, and ends with its standard input.

const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { AsyncLocalStorage } = require('node:async_hooks')
const { execFileSync } = require('node:child_process')

const express = require('express')
const { knex } = require('knex')
const { EntitySchema, MikroORM } = require('@mikro-orm/postgresql')

const Todo = new EntitySchema({
  name: 'Todo',
  tableName: 'todo',
  properties: { id: { type: 'int', primary: true }, task: { type: 'text' } },
})
const connect = () => MikroORM.init({ clientUrl: process.env.DATABASE_URL, entities: [Todo] })

// The same triggers, out of the command line of a package that is in the registry.
const migrate = async () => {
  const orm = await connect()
  await orm.em.getConnection().execute('CREATE TABLE todo (id serial PRIMARY KEY, task text NOT NULL)')
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'bemi-mikro-orm-'))
  fs.mkdirSync(path.join(folder, 'prisma/migrations'), { recursive: true })
  const program = path.join(__dirname, 'node_modules/@bemi-db/prisma/dist/cli.js')
  execFileSync(process.execPath, [program, 'migration:create'], { cwd: folder, stdio: 'ignore' })
  const [name] = fs.readdirSync(path.join(folder, 'prisma/migrations'))
  await orm.em.getConnection().loadFile(path.join(folder, 'prisma/migrations', name, 'migration.sql'))
  fs.rmSync(folder, { recursive: true })
  await orm.close()
}

const contexts = new AsyncLocalStorage()

const sayContexts = () => {
  const query = knex.Client.prototype.query
  knex.Client.prototype.query = function (connection, statement) {
    const context = contexts.getStore()
    if (context && statement.sql && /(INSERT|UPDATE|DELETE)\s/i.test(statement.sql)) {
      statement.sql = `${statement.sql} /*Bemi ${JSON.stringify(context)} Bemi*/`
    }
    return query.call(this, connection, statement)
  }
}

const serve = async () => {
  const orm = await connect()
  // MikroORM has a way of its own into knex, which it opens when it connects.
  sayContexts()
  const app = express()
  app.use(express.json())
  app.use((request, response, next) =>
    contexts.run(JSON.parse(request.get('X-Context')), () => next()),
  )
  const route = (method, path, answer) =>
    app[method](path, (request, response, next) =>
      answer(request, orm.em.fork()).then((body) => response.json(body), next),
    )
  const one = ({ params }, em) => em.findOneOrFail('Todo', { id: Number(params.id) })
  route('post', '/todos', async ({ body }, em) => {
    const todo = em.create('Todo', { task: body.task })
    await em.flush()
    return { id: todo.id }
  })
  route('put', '/todos/:id', async (request, em) => {
    const todo = await one(request, em)
    todo.task = request.body.task
    await em.flush()
    return {}
  })
  route('delete', '/todos/:id', async (request, em) => {
    await em.removeAndFlush(await one(request, em))
    return {}
  })
  process.stdin.on('end', () => process.exit(0)).resume()
  const server = app.listen(0, '127.0.0.1', () => console.log(server.address().port))
}

const failed = (error) => {
  console.error(error)
  process.exit(1)
}
if (process.argv[2] === 'migrate') migrate().catch(failed)
else serve().catch(failed)
