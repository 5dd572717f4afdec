import { holdResponses } from './hold-responses.js';

holdResponses(import.meta.filename);
