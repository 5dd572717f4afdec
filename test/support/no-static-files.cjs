/** In the place of `@fastify/static`, which Jest cannot load on Node 20 and mercurius needs for its GraphiQL page alone. */
module.exports = () => {
  throw new Error('No test serves static files in this process.');
};
